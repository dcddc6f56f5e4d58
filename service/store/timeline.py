"""What the worker has reported over time: samples that are the coarser the older they are, and its decisions.

Each resolution is a bounded stream. A sample is written to every stream whose spacing has passed. The whole is bounded
by some 1,800 samples of about a kilobyte, and 1,000 decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from service.store.keys import Keys
from service.store.samples import PastDecision, PastScore, Sample
from service.store.status import Score, WorkerStatus
from service.store.transaction import Command, Transaction

DECISIONS_KEPT = 1_000
"""Decisions that are kept over time, but for further versions of the same student, which are not."""
_DIGITS = 5


@dataclass(frozen=True)
class Resolution:
    """Samples at one spacing.

    Attributes:
        seconds: between two samples.
        kept: samples that are kept.
    """

    seconds: int
    kept: int


RESOLUTIONS = (Resolution(10, 360), Resolution(120, 720), Resolution(1_800, 336), Resolution(21_600, 360))
"""An hour, a day, a week and 90 days."""


class TimelineWriter:
    """The worker's side: it adds to a transaction what is due.

    Args:
        keys: of the graph.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._written: dict[int, float] = {}
        self._last_decision: int | None = None

    def reads(self, status: WorkerStatus) -> tuple[Command, ...]:
        """What must be read first; nothing where nothing is due."""
        if not self._due(status.updated_at) and not self._has_decisions(status):
            return ()
        return (("GET", self._keys.appended), ("XREVRANGE", self._keys.past_decisions, "+", "-", "COUNT", 1))

    def add(self, pending: Transaction, status: WorkerStatus, answers: Sequence[Any]) -> None:
        """Add the samples and decisions that are due.

        Args:
            pending: the transaction.
            status: the report.
            answers: to :meth:`reads`.
        """
        if not answers:
            return
        appended, newest = answers
        now = status.updated_at
        if due := self._due(now):
            sample = _sample(status, int(appended or 0)).model_dump_json()
            for resolution in due:
                key = self._keys.samples(resolution.seconds)
                pending.add("XADD", key, "MAXLEN", resolution.kept, "*", "sample", sample)
                self._written[resolution.seconds] = now
        known = int(dict(zip(newest[0][1][::2], newest[0][1][1::2], strict=True))[b"number"]) if newest else 0
        for decision in reversed(status.decisions):
            if decision.number > known and decision.kind != "student-kept":
                text = PastDecision(**decision.model_dump(), time=now).model_dump_json()
                fields = ("number", decision.number, "decision", text)
                pending.add("XADD", self._keys.past_decisions, "MAXLEN", DECISIONS_KEPT, "*", *fields)
        self._last_decision = max((decision.number for decision in status.decisions), default=0)

    def _due(self, now: float) -> list[Resolution]:
        # A clock that goes back begins again.
        return [
            resolution
            for resolution in RESOLUTIONS
            if not 0 <= now - self._written.get(resolution.seconds, -1e18) < resolution.seconds
        ]

    def _has_decisions(self, status: WorkerStatus) -> bool:
        newest = max((decision.number for decision in status.decisions), default=0)
        return self._last_decision is None or newest != self._last_decision


class TimelineReader:
    """The API's side.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def read(self, since: float, points: int) -> tuple[list[bytes], list[bytes]]:
        """Samples and decisions as JSON, the oldest first.

        Args:
            since: Unix time in seconds.
            points: samples at most.
        """
        first = str(max(0, int(1000 * since)))
        async with self._redis.pipeline(transaction=True) as pipe:
            for resolution in RESOLUTIONS:
                pipe.xrange(self._keys.samples(resolution.seconds), min=first)
            pipe.xrange(self._keys.past_decisions, min=first)
            *streams, decisions = await pipe.execute()
        samples: list[tuple[bytes, dict[bytes, bytes]]] = []
        for found in streams:
            # The finer one has all that is newer than its oldest sample.
            begins = _milliseconds(samples[0]) if samples else float("inf")
            samples = [entry for entry in found if _milliseconds(entry) < begins] + samples
        texts = [fields[b"sample"] for _, fields in samples]
        return _thinned(texts, points), [fields[b"decision"] for _, fields in decisions]


def _sample(status: WorkerStatus, appended: int) -> Sample:
    served = status.served
    return Sample(
        time=status.updated_at,
        applied_events=status.applied_events,
        behind_events=max(0, appended - status.applied_events),
        events_per_s=round(status.events_per_s, 1),
        steps_per_s=round(status.steps_per_s, 1),
        version=served.version if served is not None else None,
        student=served.student if served is not None else None,
        served=_rounded(status.served_score),
        students={student.name: _rounded(student.score) for student in status.students},
        losses={name: round(value, _DIGITS) for name, value in status.learning.losses.items()},
    )


def _rounded(score: Score) -> PastScore:
    return PastScore(
        scored=score.scored,
        accuracy=_short(score.accuracy),
        macro_f1=_short(score.macro_f1),
        accuracy_recent=_short(score.accuracy_recent),
        macro_f1_recent=_short(score.macro_f1_recent),
        log_loss_recent=_short(score.log_loss_recent),
    )


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _milliseconds(entry: tuple[bytes, object]) -> int:
    return int(entry[0].partition(b"-")[0])


def _thinned(texts: list[bytes], most: int) -> list[bytes]:
    """So many of them at most, evenly, the newest among them."""
    if len(texts) <= most:
        return texts
    last = len(texts) - 1
    return [texts[last - round(number * last / max(1, most - 1))] for number in range(most)][::-1]
