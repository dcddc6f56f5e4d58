"""A step that uses Redis is repeated while Redis is unavailable, and the log is checked first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import ResponseError

from service.store.fence import LogLost
from service.store.redis_refusals import RedisUnusable
from service.worker.metrics import WorkerMetrics
from service.worker.retrying import RECONNECT_AFTER_S, Retrying
from service.worker.stop import Stop
from tests.service.worker.by_hand import HandClock


class Script:
    """Records the calls, and raises the errors that are given for a call, one each time."""

    def __init__(self, **errors: list[Exception]) -> None:
        self.calls: list[str] = []
        self._errors = errors

    def call(self, name: str) -> Callable[[], str]:
        def call() -> str:
            self.calls.append(name)
            if self._errors.get(name):
                raise self._errors[name].pop(0)
            return f"{name} done"

        return call


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def retrying(script: Script, clock: HandClock, stop: Stop | None = None) -> Retrying:
    return Retrying(script.call("check"), WorkerMetrics(), clock, stop or Stop())


def test_a_step_is_repeated_until_redis_carries_it_out_and_the_log_is_checked_before(clock: HandClock) -> None:
    script = Script(step=[Unreachable(), OSError("reset"), ResponseError("LOADING Redis is loading")])
    tries = retrying(script, clock)
    assert tries.until_done(script.call("step")) == "step done"
    assert script.calls == ["check", "step"] * 4
    assert clock.slept == [RECONNECT_AFTER_S] * 3


def test_the_log_is_checked_once_while_redis_is_there_and_again_where_it_is_in_doubt(clock: HandClock) -> None:
    script = Script()
    tries = retrying(script, clock)
    tries.until_done(script.call("first"))
    tries.until_done(script.call("second"))
    tries.doubt_log()
    tries.until_done(script.call("third"))
    assert script.calls == ["check", "first", "second", "check", "third"]


def test_a_check_that_fails_is_repeated_before_the_step(clock: HandClock) -> None:
    script = Script(check=[Unreachable(), Unreachable()])
    assert retrying(script, clock).until_done(script.call("step")) == "step done"
    assert script.calls == ["check", "check", "check", "step"]


def test_a_lost_log_ends_the_repetition(clock: HandClock) -> None:
    script = Script(step=[Unreachable()])
    tries = retrying(script, clock)
    script._errors["check"] = []

    def lose() -> str:
        script._errors["check"].append(LogLost("lost"))
        return script.call("step")()

    with pytest.raises(LogLost, match="lost"):
        tries.until_done(lose)
    assert script.calls == ["check", "step", "check"]


def test_what_a_person_must_mend_is_not_repeated(clock: HandClock) -> None:
    script = Script(step=[ResponseError("WRONGTYPE Operation against a key")])
    with pytest.raises(RedisUnusable):
        retrying(script, clock).until_done(script.call("step"))
    assert clock.slept == []


def test_another_error_is_passed_on(clock: HandClock) -> None:
    script = Script(step=[ValueError("a bug")])
    with pytest.raises(ValueError, match="a bug"):
        retrying(script, clock).until_done(script.call("step"))
    assert script.calls == ["check", "step"]


def test_after_a_stop_one_attempt_is_made(clock: HandClock) -> None:
    script = Script(step=[Unreachable(), Unreachable()])
    stop = Stop(requested=True)
    tries = retrying(script, clock, stop)
    assert tries.until_done(script.call("step")) is None
    assert script.calls == ["check", "step"]
    assert clock.slept == []
