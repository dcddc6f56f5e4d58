"""The ranks of one worker, as one of them sees them: they agree on each step, and repeat what Redis did not do."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar, cast

import msgspec
import structlog
from redis.exceptions import RedisError

from olad_core.errors import OladError
from olad_core.partition import Superstep, Traffic
from service.partitioned.collectives import run, share
from service.store.entry_format import UnknownEntryFormat
from service.store.fence import LogLost, Superseded
from service.store.redis_refusals import RedisUnusable, wait_out
from service.worker.assembly import CannotBegin
from service.worker.checkpoint import OtherFormat
from service.worker.students import StudentUnusable

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 0.5
REFUSALS = (CannotBegin, LogLost, OtherFormat, RedisUnusable, StudentUnusable, Superseded, UnknownEntryFormat)
"""Errors after which no start of the ranks helps."""

Value = TypeVar("Value")


class Refused(OladError, RuntimeError):
    """A rank cannot go on, and starting all of them again does not help."""


class _Contribution(msgspec.Struct, Generic[Value], array_like=True):
    """What one rank contributes to a step.

    Attributes:
        value: what came of the step.
        problem: why it was not carried out; empty where it was.
        final: whether repeating it does not help.
    """

    value: Value | None
    problem: str = ""
    final: bool = False


class Ranks:
    """All ranks.

    Args:
        rank: this one.
        size: how many there are.
        limit: for how long the others are waited for; None is the time limit of the process group.

    Attributes:
        traffic: what this rank has sent.
    """

    def __init__(self, rank: int, size: int, limit: timedelta | None = None) -> None:
        self.rank, self.size = rank, size
        self.traffic = Traffic()
        self._limit = limit

    @property
    def leads(self) -> bool:
        """Whether this is the rank that decides for all."""
        return self.rank == 0

    def run(self, superstep: Superstep[Value]) -> Value:
        """Run this rank's work; all others have to run theirs."""
        return run(superstep, self.traffic, self._limit)

    def together(self, what: str, kind: type[Value], step: Callable[[], Value]) -> list[Value]:
        """Carry out a step at all ranks, and repeat it until all of them have carried it out.

        A step that has been carried out is repeated too where that of another rank has not.

        Args:
            what: the step.
            kind: of its values, which are sent as JSON.
            step: of this rank. Where Redis cannot be used now it is repeated; errors that no start mends end all ranks.

        Returns:
            What came of it at each rank.

        Raises:
            Refused: a rank cannot go on.
            RankLost: a rank is gone, or has not answered within the time limit.
        """
        decoder = msgspec.json.Decoder(_Contribution[kind])  # type: ignore[valid-type]
        while True:
            own = _carried_out(step)
            given = [decoder.decode(each) for each in share(what, msgspec.json.encode(own), self._limit)]
            if final := [each.problem for each in given if each.final]:
                raise Refused(final[0])
            problems = [each.problem for each in given if each.problem]
            if not problems:
                return [cast("Value", each.value) for each in given]
            log.warning("Redis cannot be used, trying again", error=problems[0], after_s=RETRY_AFTER_S)
            time.sleep(RETRY_AFTER_S)


def _carried_out(step: Callable[[], Value]) -> _Contribution[Value]:
    try:
        return _Contribution(step())
    except REFUSALS as error:
        return _Contribution(None, str(error), final=True)
    except (RedisError, OSError) as error:
        try:
            wait_out(error)
        except RedisUnusable as unusable:
            return _Contribution(None, str(unusable), final=True)
        return _Contribution(None, str(error) or type(error).__name__)
