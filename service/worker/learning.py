"""What is done beside the events: training steps, slices of a new version, and marked predictions, in turn."""

from __future__ import annotations

import functools
from collections.abc import Callable

import structlog

from olad_core.engine import Engine
from olad_core.step_size import StepSize
from service.worker.clock import Clock
from service.worker.metrics import WorkerMetrics
from service.worker.pace import LearningPace, Part
from service.worker.row_pace import RowPace

log = structlog.get_logger(__name__)


class Learning:
    """Learns with an engine that the caller passes.

    Args:
        pace: when a part is due, and its size.
        row_pace: how many predictions are computed at a time.
        metrics: time the parts and count failures.
        clock: measures the parts.
    """

    def __init__(self, pace: LearningPace, row_pace: RowPace, metrics: WorkerMetrics, clock: Clock) -> None:
        self._pace = pace
        self._row_pace = row_pace
        self._metrics = metrics
        self._clock = clock
        self._slice_is_next = False
        self._rows_are_next = False

    def saw_events(self) -> None:
        """Events have been applied since the last part."""
        self._pace.saw_events()

    def rest_left_s(self) -> float:
        """Seconds in which events are waited for before the next part; 0 where it may begin."""
        return self._pace.rest_left(self._clock.monotonic())

    def take_steps(self, engine: Engine, steps: int) -> None:
        """Take a fixed number of training steps of full size."""
        self._guarded(engine, functools.partial(engine.learn, steps))

    def take_due_parts(self, engine: Engine, publish: Callable[[], object], *, loaded: bool) -> tuple[Part, ...]:
        """A training step, and one turn later a slice of the version that is being embedded, where one is due.

        Under load learning is rare, so both are done in one turn. Once the students have converged, only slices are
        left. Predictions that are marked take every second turn, but not under load.

        Args:
            engine: learns.
            publish: makes visible what a part has changed. It counts as time of the part.
            loaded: whether more events wait than one turn applies.

        Returns:
            What was done.
        """
        if not self._pace.is_due(self._clock.monotonic(), loaded=loaded):
            return ()
        rows_are_next, self._rows_are_next = self._rows_are_next and not loaded, not self._rows_are_next
        if (rows_are_next or engine.resting) and self._tidy(engine, publish):
            return ("rows",)
        if engine.converged:
            self._slice_is_next = False
            return (self._take(engine, "slice", engine.finish, publish),)
        done: list[Part] = []
        slice_is_next, self._slice_is_next = self._slice_is_next, False
        if not slice_is_next:
            done.append(self._take(engine, "step", engine.train, publish))
            self._slice_is_next = engine.versions.candidate is not None and not loaded
        if slice_is_next or loaded:
            done.append(self._take(engine, "slice", engine.embed, publish))
        return tuple(done)

    def _take(
        self, engine: Engine, part: Part, work: Callable[[StepSize], object], publish: Callable[[], object]
    ) -> Part:
        """Take one part, publish what it has changed, and adapt the pace to the time of both."""
        started = self._clock.monotonic()
        self._guarded(engine, functools.partial(work, self._pace.sizes[part]))
        publish()
        self._pace.follow(part, started, self._clock.monotonic())
        return part

    def _tidy(self, engine: Engine, publish: Callable[[], object]) -> bool:
        """Compute some of the predictions that are marked; False where none is."""
        started = self._clock.monotonic()
        with self._metrics.stage("tidy"):
            if not self._row_pace.tidy(engine, beside_events=self._pace.events_since):
                return False
        publish()
        self._pace.follow("rows", started, self._clock.monotonic())
        return True

    def _guarded(self, engine: Engine, work: Callable[[], object]) -> None:
        """Learn. After a failure the students are replaced by new ones; what is served stays."""
        with self._metrics.stage("learn"):
            try:
                work()
            except Exception as error:
                self._metrics.training_failures.inc()
                log.exception("training failed, beginning with new students", error=str(error))
                engine.restart_training()
