"""One engine at each rank: what the first rank does with its own, the others do with theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn, cast

import msgspec
import structlog

from olad_core.engine import Engine
from olad_core.learning.spread import NotSpread, RanksDiffer, Spread
from olad_core.partition.exchange import OutOfStep
from service.exit_codes import REFUSES
from service.partitioned.collectives import RankLost, gather, share
from service.partitioned.leading import end_at_once
from service.partitioned.worker import START_LIMIT
from service.student_ranks.calls import REPEATED, encode_call, make_call

log = structlog.get_logger(__name__)

_ANY_TIME = timedelta(days=365)
"""The others wait for the first rank as long as it takes: it may wait for Redis, or for an event. Where it is lost,
the launcher ends them."""
_FAILED = b"failed"
_STOP = b""


class Begin(msgspec.Struct, frozen=True):
    """From which state the engines begin.

    Attributes:
        path: of a checkpoint with it.
        memory_budget: of the engine's configuration, which the first rank has measured.
    """

    path: str
    memory_budget: int | None


class _Call(msgspec.Struct, frozen=True, tag=True):
    given: bytes


class _Begin(msgspec.Struct, frozen=True, tag=True):
    begin: Begin


def spread_of(rank: int, ranks: int, limit: timedelta) -> Spread:
    """How a rank exchanges with the others while all make the same call."""

    def exchange(kind: str, values: Any) -> Any:
        try:
            return gather(kind, values, limit)
        except (RankLost, OutOfStep) as lost:
            _end(lost)

    return Spread(rank, ranks, exchange)


class FirstRank:
    """Has the other ranks do what this one does.

    Args:
        limit: for how long the others are waited for.
    """

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit
        self.failed = False
        """Whether the last call has failed here."""

    def begin(self, begin: Begin) -> None:
        """Have the others begin with a state."""
        self._tell(msgspec.msgpack.encode(_Begin(begin)))
        _wait_until_begun()

    def call(self, call: bytes) -> None:
        """Have the others make a call, which this rank makes next."""
        self._tell(msgspec.msgpack.encode(_Call(call)))

    def stop(self) -> None:
        """Let the others end."""
        self._tell(_STOP)

    def _tell(self, what: bytes) -> None:
        try:
            _, *others = share("call", what, self._limit)
        except (RankLost, OutOfStep) as lost:
            _end(lost)
        if any((other == _FAILED) != self.failed for other in others):
            # What one rank could not do, and others could, differs between them from now on.
            _end(RanksDiffer("a call has failed at some ranks only"))
        self.failed = False


class LeadingEngine:
    """The first rank's engine: what changes it is repeated by the others. It takes the place of an engine."""

    def __init__(self, engine: Engine, first: FirstRank) -> None:
        self._engine = engine
        self._first = first

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        return self._repeated(name, found) if name in REPEATED else found

    def _repeated(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._first.call(encode_call(name, arguments, named))
            try:
                return method(*arguments, **named)
            except NotSpread as error:
                log.error("the worker cannot go on, and starting it again does not help", reason=str(error))
                end_at_once(REFUSES)
            except RanksDiffer as error:
                _end(error)
            except BaseException:
                self._first.failed = True
                raise

        return call


def leading(engine: Engine, first: FirstRank) -> Engine:
    """An engine whose changes other ranks repeat."""
    return cast("Engine", LeadingEngine(engine, first))


def repeat(begin: Callable[[Begin], Engine]) -> None:
    """Do what the first rank does, until it stops.

    Args:
        begin: makes the engine of a state.
    """
    engine: Engine | None = None
    failed = False
    while True:
        try:
            told = share("call", _FAILED if failed else b"", _ANY_TIME)[0]
        except (RankLost, OutOfStep) as lost:
            _end(lost)
        if told == _STOP:
            return
        what = msgspec.msgpack.decode(told, type=_Call | _Begin)
        if isinstance(what, _Begin):
            engine, failed = begin(what.begin), False
            _wait_until_begun()
            continue
        assert engine is not None, "the first rank begins before it calls"
        try:
            make_call(engine, what.given)
            failed = False
        except RanksDiffer as error:
            _end(error)
        except Exception as error:
            log.warning("a call has failed, as at the first rank", error=str(error))
            failed = True


def _wait_until_begun() -> None:
    """Wait for the ranks that still read the state: that may take longer than a call."""
    try:
        share("begun", b"", START_LIMIT)
    except (RankLost, OutOfStep) as lost:
        _end(lost)


def _end(lost: Exception) -> NoReturn:
    """End this process: the marks of the entries that it applies stay, as after a kill."""
    log.error("another rank is lost or differs, all begin again", reason=str(lost))
    end_at_once()
