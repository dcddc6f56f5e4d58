"""What is done beside events and requests, in parts: training steps, a new version, and marked predictions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import structlog

from olad_core.engine import Engine
from service.worker.clock import Clock
from service.worker.growing import Followed, Grower
from service.worker.metrics import WorkerMetrics
from service.worker.pace import LearningPace, Part
from service.worker.row_pace import RowPace
from service.worker.turn_times import TurnTimes

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class Learning:
    """Learns with an engine that the caller passes.

    Args:
        pace: when a part is due, and its size.
        row_pace: how many predictions are computed at a time.
        metrics: time the parts and count failures.
        clock: measures the parts.
        grower: grows trees beside the loop.
        times: measure the slices of versions.
    """

    def __init__(
        self,
        pace: LearningPace,
        row_pace: RowPace,
        metrics: WorkerMetrics,
        clock: Clock,
        grower: Grower,
        times: TurnTimes,
    ) -> None:
        self._pace = pace
        self._row_pace = row_pace
        self._metrics = metrics
        self._clock = clock
        self._grower = grower
        self._times = times
        self._slice_is_next = False
        # Seconds that slices have taken longer than the parts of steps since.
        self._slices_ahead_s = 0.0
        self._rows_are_next = False
        self._not_recorded: str | None = None

    def saw_events(self) -> None:
        """Events have been applied since the last part."""
        self._pace.saw_events()

    def saw_readers(self) -> None:
        """Requests of readers have been answered since the last part."""
        self._pace.saw_readers()

    def rest_left_s(self) -> float:
        """Seconds in which events and requests are waited for before the next part; 0 where it may begin."""
        return self._pace.rest_left(self._clock.monotonic())

    @property
    def grows(self) -> bool:
        """Whether trees are being grown, or wait to be taken."""
        return self._grower.busy

    def follow_trees(self, engine: Engine) -> Followed:
        """Take trees that are grown, and begin those that are due; what became of those that were being grown."""
        followed = self._grower.follow(engine, self._clock.monotonic())
        if followed == "failed":
            self._metrics.tree_failures.inc()
        return followed

    def take_steps(self, engine: Engine, steps: int) -> None:
        """Take a fixed number of whole training steps of full size."""
        self._guarded(engine, functools.partial(engine.learn, steps))

    def take_due_parts(self, engine: Engine, publish: Callable[[], object], *, loaded: bool) -> tuple[Part, ...]:
        """Take one part where one is due; under load, where that is rare, parts for some time.

        A version that replaces a group for which there is no time goes first: slices for some time after each turn.

        Args:
            engine: learns.
            publish: makes visible what a part has changed. It counts as time of the part.
            loaded: whether more events wait than one turn applies.

        Returns:
            What was done.
        """
        began = self._clock.monotonic()
        if not (engine.hurries or self._pace.is_due(began, loaded=loaded)):
            return ()
        most_s = self._pace.hurried_s if engine.hurries else self._pace.loaded_s if loaded else 0.0
        done = [self._take_next(engine, publish, loaded=loaded)]
        while not engine.resting and self._clock.monotonic() - began < most_s:
            done.append(self._take_next(engine, publish, loaded=loaded))
        return tuple(done)

    def _take_next(self, engine: Engine, publish: Callable[[], object], *, loaded: bool) -> Part:
        """Take one part: of a training step or of the version that is being embedded, which get the same time.

        Once the students have converged, only slices are left, and so it is while a version hurries. Predictions that
        are marked take every second turn, but not under load.
        """
        loaded = loaded or engine.hurries
        rows_are_next, self._rows_are_next = self._rows_are_next and not loaded, not self._rows_are_next
        if (rows_are_next or engine.resting) and self._tidy(engine, publish):
            return "rows"
        slice_is_next, self._slice_is_next = self._slice_is_next, False
        if engine.converged:
            with self._times.of("slices"):
                self._take(engine, "slice", lambda: engine.finish(self._pace.sizes["slice"]), publish)
            return "slice"
        if slice_is_next or (engine.hurries and engine.versions.candidate is not None):
            with self._times.of("slices"):
                took = self._take(engine, "slice", lambda: engine.embed(self._pace.sizes["slice"]), publish)
            # A version that hurries is a switch, which is rare: its time is not owed to training.
            self._slices_ahead_s += took if slice_is_next else 0.0
            return "slice"
        took = self._take(engine, "step", lambda: engine.train_part(self._pace.sizes["step"]), publish)
        self._slices_ahead_s = max(0.0, self._slices_ahead_s - took)
        # To the nearest part.
        self._slice_is_next = engine.versions.candidate is not None and self._slices_ahead_s <= took / 2
        return "step"

    def _take(
        self, engine: Engine, part: Part, work: Callable[[], bool | None], publish: Callable[[], object]
    ) -> float:
        """Do one part, publish what it has changed, and adapt the pace to the time of both; that time in seconds."""
        started = self._clock.monotonic()
        last = self._guarded(engine, work)
        publish()
        ended = self._clock.monotonic()
        self._pace.follow(part, started, ended, last=last is not False)
        return ended - started

    def _tidy(self, engine: Engine, publish: Callable[[], object]) -> bool:
        """Compute some of the predictions that are marked; False where none is."""
        started = self._clock.monotonic()
        with self._metrics.stage("tidy"):
            work = self._row_pace.tidy(engine, beside_events=self._pace.interrupted)
        if not work:
            return False
        publish()
        self._row_pace.follow(work, started)
        self._pace.follow("rows", started, self._clock.monotonic())
        return True

    def _guarded(self, engine: Engine, work: Callable[[], Result]) -> Result | None:
        """Learn; what it returns. After a failure the students are replaced by new ones; what is served stays."""
        with self._metrics.stage("learn"):
            try:
                done = work()
            except Exception as error:
                self._metrics.training_failures.inc()
                log.exception("training failed, beginning with new students", error=str(error))
                engine.restart_training()
                return None
        problem = engine.trainer.not_recorded if engine.trainer else None
        if problem and problem != self._not_recorded:
            log.warning("steps are not recorded as CUDA graphs from now on", problem=problem)
            self._not_recorded = problem
        return done
