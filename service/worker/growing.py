"""Grows forests in a thread of its own, so that no event waits for one."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import structlog

from olad_core.engine import Engine
from olad_core.trees.forest import Forest
from olad_core.trees.member import ForestPlan, Trees

log = structlog.get_logger(__name__)

Followed = Literal["nothing", "taken", "failed"]
"""A forest was taken, or could not be grown, or neither."""

REST = 3.0
"""After a forest the thread rests so many times as long as it took to grow: it uses a quarter of a core at most."""
REST_OF_FAILED_S = 60.0
"""Seconds before a forest that could not be grown is begun again, at least."""
NICENESS = 10
"""Of the thread, where the system has one for each: where both could run, the loop does."""


@dataclass(frozen=True)
class _Growing:
    """A forest that is being grown.

    Attributes:
        trees: it is for.
        plan: it follows.
        forest: when it is grown; None where the thread was asked to end before.
        started: seconds at which it began.
    """

    trees: Trees
    plan: ForestPlan
    forest: Future[Forest | None]
    started: float


class Grower:
    """Grows the forests that are due, one at a time. A context manager: at its end the thread has ended.

    The thread has copies of what it reads, and what it has grown is taken by the loop between two turns. So when that
    is depends on the clock, like the number of training steps; what the forest is depends on the labels alone.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forest", initializer=_give_way)
        self._ended = threading.Event()
        self._growing: _Growing | None = None
        self._rest_until = 0.0

    def __enter__(self) -> Grower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up the forest that is being grown, after its current round."""
        self._ended.set()
        self._thread.shutdown(cancel_futures=True)

    @property
    def busy(self) -> bool:
        """Whether a forest is being grown, or waits to be taken."""
        return self._growing is not None

    def follow(self, engine: Engine, now: float) -> Followed:
        """Take a forest that is grown, and begin one that is due; what became of the one that was being grown.

        A forest of another engine is dropped, and so is one that failed: the one before stays.

        Args:
            engine: learns.
            now: seconds of a clock that never goes back.
        """
        if engine.trees is None:
            return "nothing"
        followed = self._take(engine, now)
        if self._growing is None and now >= self._rest_until and (plan := engine.trees.plan()):
            self._growing = _Growing(engine.trees, plan, self._thread.submit(self._grow, plan), now)
        return followed

    def _grow(self, plan: ForestPlan) -> Forest | None:
        """One round of boosting after the other; the loop runs while the library is in one."""
        growth = plan.begin()
        while not growth.advance():
            if self._ended.is_set():
                return None
        return growth.forest()

    def _take(self, engine: Engine, now: float) -> Followed:
        growing = self._growing
        if growing is None or not growing.forest.done():
            return "nothing"
        self._growing = None
        self._rest_until = now + REST * (now - growing.started)
        error = growing.forest.exception()
        if error is not None:
            self._rest_until = max(self._rest_until, now + REST_OF_FAILED_S)
            log.error("trees could not be grown, those before stay", error=str(error), exc_info=error)
            return "failed"
        forest = growing.forest.result()
        if forest is None or growing.trees is not engine.trees:
            return "nothing"
        return "taken" if engine.take_forest(forest, growing.plan.labels_seen) else "nothing"


def _give_way() -> None:
    """Let the other threads of the process go first."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
