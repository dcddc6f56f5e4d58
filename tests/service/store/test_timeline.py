"""What was reported over time: bounded, the finer the newer, without gaps between the resolutions."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import redis

from service.store import timeline
from service.store.connection import connect
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.samples import Sample
from service.store.status import DecisionStatus
from service.store.timeline import RESOLUTIONS, Resolution, TimelineReader, TimelineWriter
from tests.redis_server import RedisServer
from tests.service.publications import worker_status

SMALL = (Resolution(1, 5), Resolution(4, 4), Resolution(16, 6))
AT = 1_700_000_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "RESOLUTIONS", SMALL)


class Dated:
    """Carries out what a transaction would, under ids of a given time instead of now."""

    def __init__(self, client: redis.Redis, second: int) -> None:
        self._client: Any = client
        self._id = f"{1000 * (AT + second)}-*"

    def add(self, *command: Any) -> None:
        self._client.execute_command(*(self._id if part == "*" else part for part in command))


class Site:
    """A writer, and a reader of what it has written."""

    def __init__(self, server: RedisServer, client: redis.Redis, keys: Keys) -> None:
        self.server, self.client, self.keys = server, client, keys
        self.timeline = TimelineWriter(keys)

    def report(self, second: int, decisions: tuple[DecisionStatus, ...] = ()) -> None:
        changed = {"updated_at": float(AT + second), "applied_events": second, "decisions": decisions}
        status = worker_status().model_copy(update=changed)
        client: Any = self.client
        pending: Any = Dated(self.client, second)
        # Without the client's own parsing, as a transaction reads.
        with client.pipeline(transaction=False) as pipe:
            for command in (reads := self.timeline.reads(status)):
                pipe.execute_command(*command)
            answers = pipe.execute()
        if reads and answers[1]:
            answers[1] = [[at, [part for pair in fields.items() for part in pair]] for at, fields in answers[1]]
        self.timeline.add(pending, status, answers)

    async def read(self, since: float = 0.0, points: int = 1_000) -> tuple[list[Sample], list[dict[str, Any]]]:
        client = connect(self.server.url, self.keys)
        try:
            samples, decisions = await TimelineReader(client, self.keys).read(since, points)
        finally:
            await client.aclose()
        return [Sample.model_validate_json(text) for text in samples], [json.loads(text) for text in decisions]


@pytest.fixture
def site(redis_server: RedisServer, redis_client: redis.Redis, keys: Keys) -> Site:
    return Site(redis_server, redis_client, keys)


def decision(number: int, kind: str = "drift") -> DecisionStatus:
    (found,) = worker_status().decisions
    return found.model_copy(update={"number": number, "kind": kind})


async def test_samples_are_coarser_the_older_they_are(site: Site, small: None) -> None:
    for second in range(100):
        site.report(second)
    samples, _ = await site.read()
    seconds = [int(sample.time) - AT for sample in samples]
    assert seconds == [16, 32, 48, 64, 80, 84, 88, 92, 95, 96, 97, 98, 99]
    assert [sample.applied_events for sample in samples] == seconds
    for resolution in SMALL:
        assert site.client.xlen(site.keys.samples(resolution.seconds)) == resolution.kept
    later, _ = await site.read(since=AT + 90)
    assert [int(sample.time) - AT for sample in later] == [92, 95, 96, 97, 98, 99]


async def test_so_many_are_answered_as_were_asked_for_the_newest_among_them(site: Site, small: None) -> None:
    for second in range(20):
        site.report(second)
    for points in (1, 2, 5):
        samples, _ = await site.read(points=points)
        assert len(samples) == points
        assert samples[-1].time == AT + 19
        assert [sample.time for sample in samples] == sorted(sample.time for sample in samples)


async def test_the_lag_is_that_of_the_log_and_scores_are_those_of_the_report(site: Site) -> None:
    site.client.set(site.keys.appended, 12)
    writer = PredictionWriter(site.client, site.keys)
    writer.start()
    for _ in range(2):
        writer.write_status(worker_status(), b"")
    ([sample], _) = await site.read()
    status = worker_status()
    assert (sample.applied_events, sample.behind_events) == (status.applied_events, 12 - status.applied_events)
    assert sample.served.accuracy_recent == status.served_score.accuracy_recent
    assert sample.students["sage"].macro_f1 == status.students[0].score.macro_f1
    assert sample.losses == status.learning.losses


async def test_each_decision_is_kept_once_and_further_versions_are_not(site: Site) -> None:
    site.report(0, (decision(2), decision(1, "first-version")))
    site.report(1, (decision(3, "student-kept"), decision(2), decision(1, "first-version")))
    # Another start of the worker has the same ones.
    again = Site(site.server, site.client, site.keys)
    again.report(2, (decision(4), decision(3, "student-kept"), decision(2)))
    _, decisions = await site.read()
    assert [(found["number"], found["kind"]) for found in decisions] == [
        (1, "first-version"),
        (2, "drift"),
        (4, "drift"),
    ]
    assert decisions[-1]["time"] == AT + 2


def test_all_of_it_is_bounded() -> None:
    assert sum(resolution.kept for resolution in RESOLUTIONS) < 2_000
    for finer, coarser in itertools.pairwise(RESOLUTIONS):
        assert finer.seconds * finer.kept > coarser.seconds, "each has something older than all of the finer one"
