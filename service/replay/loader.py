"""Sends a source as fast as the service takes it, without asking for predictions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.client.http import Client
from service.replay.progress import Done, Progress
from service.replay.sources import Source


@dataclass(frozen=True)
class LoadState:
    """Where an import is.

    Attributes:
        events: events sent in this run.
        seconds: how long this run has taken.
        position: of the last batch; None before the first.
        batches: that the log has, those of earlier runs included.
        resumed: batches that an earlier run had sent.
        complete: whether the source has ended.
    """

    events: int
    seconds: float
    position: str | None
    batches: int
    resumed: int
    complete: bool

    @property
    def events_per_s(self) -> float:
        """Rate of this run."""
        return self.events / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "events": self.events,
            "seconds": round(self.seconds, 3),
            "events_per_s": round(self.events_per_s, 1),
            "position": self.position,
            "batches": self.batches,
            "resumed_batches": self.resumed,
            "complete": self.complete,
        }


def load(
    source: Source, client: Client, progress: Progress, *, on_batch: Callable[[LoadState], None] = lambda _state: None
) -> LoadState:
    """Send every batch that ``progress`` does not have yet.

    What an earlier run has sent is read again, and not sent.

    Args:
        source: what to send.
        client: the service.
        progress: record of earlier runs; grows.
        on_batch: called after each batch, sent or not.

    Raises:
        ServiceError: the service refused or did not answer in time. The next run goes on from there.
    """
    resumed = len(progress.done)
    started = time.monotonic()
    sent = 0

    def state(*, complete: bool = False) -> LoadState:
        return LoadState(
            events=sent,
            seconds=time.monotonic() - started,
            position=progress.done[-1].position if progress.done else None,
            batches=len(progress.done),
            resumed=resumed,
            complete=complete,
        )

    if source.schema is not None:
        client.declare(source.schema)
    for number, batch in enumerate(source.batches):
        if number >= resumed:
            progress.append(Done(client.append(batch.events, key=progress.key(number)).position, []))
            sent += len(batch.events)
        on_batch(state())
    return state(complete=True)
