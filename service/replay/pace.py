"""How fast a replay sends, and whether the service learns as fast."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from olad_core.events import Event, LabelNode, UpsertNode
from service.client.http import Client
from service.store.positions import parse_position
from service.store.status import WorkerStatus

STEPS_PER_ENTRY = 8
"""Training steps that ``olad evaluate`` takes after each entry where the settings state none."""
_ASK_EVERY_S = 0.1
_AHEAD = 10
"""Batches that are sent before their steps are reported: a report comes once a second."""


class RatePace:
    """Spreads events evenly; time lost to a slow answer is not made up for.

    Args:
        rate: events per second at most; None does not wait.
        stop: ends the waiting.
    """

    def __init__(self, rate: float | None, stop: threading.Event) -> None:
        self._rate = rate
        self._stop = stop
        self._next = time.monotonic()

    def wait(self, events: int) -> bool:
        """Wait for the turn of this many events; False when stopped meanwhile."""
        if self._rate is None:
            return True
        now = time.monotonic()
        stopped = self._stop.wait(max(0.0, self._next - now))
        self._next = max(self._next, now) + events / self._rate
        return not stopped


class LearningPace:
    """Counts the training steps of the service beside the labels that it was sent, and waits for them where wanted.

    Args:
        client: the service.
        steps: that a batch gets in ``olad evaluate``.
        stop: ends the waiting.
    """

    def __init__(self, client: Client, steps: int, stop: threading.Event) -> None:
        self._client, self._steps, self._stop = client, steps, stop
        self._labels = self._due = self._taken = 0
        self._position = "0-0"
        self._last = self._reported()

    def sent(self, events: Sequence[Event], position: str) -> None:
        """Count a batch; steps are due from the first label on."""
        self._position = position
        self._labels += sum(
            isinstance(event, LabelNode) or (isinstance(event, UpsertNode) and event.label is not None)
            for event in events
        )
        if self._labels:
            self._due += self._steps

    def wait(self) -> bool:
        """Wait until the service has taken the steps of all but the last batches, or has nothing to learn.

        Returns:
            False when stopped.
        """
        while self._taken < self._wanted and not self._stop.is_set():
            self._count()
            worker = self._last
            if worker is None or (_idle(worker) and parse_position(worker.position) >= parse_position(self._position)):
                self._taken = self._due
            elif self._taken < self._wanted:
                self._stop.wait(_ASK_EVERY_S)
        return not self._stop.is_set()

    def shortfall(self) -> str | None:
        """One line where the service took less than half as many steps as an evaluation; None where it did not."""
        self._count()
        if not self._labels or self._last is None or _idle(self._last) or 2 * self._taken >= self._due:
            return None
        taken, due = self._taken / self._labels, self._due / self._labels
        return (
            f"The service took {taken:.2f} training steps for each label, olad evaluate takes {due:.2f}: it was sent "
            "more than it could learn meanwhile, and would score higher at a lower speed. --pace learning waits for it."
        )

    @property
    def _wanted(self) -> int:
        return self._due - _AHEAD * self._steps

    def _count(self) -> None:
        """Add the steps that were reported since the last time; those of a restored worker count from where it is."""
        before, self._last = self._last, self._reported()
        if self._last is not None:
            first = before.learning.steps if before is not None else 0
            self._taken += max(0, self._last.learning.steps - first)

    def _reported(self) -> WorkerStatus | None:
        return self._client.status().worker


def _idle(worker: WorkerStatus) -> bool:
    """Whether the service takes no steps because there is nothing to learn, or not yet."""
    return worker.learning.state == "resting" or (worker.learning.steps == 0 and bool(worker.learning.missing))
