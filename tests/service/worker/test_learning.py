"""Learning beside the events: the order of steps and slices, the pace, and failures. The clock is set by hand."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from olad_core.config import GROUP, EngineConfig
from olad_core.engine import Engine
from olad_core.serving.load import TurnTime
from olad_core.step_size import FULL_SIZE, StepSize
from service.store.request_reader import Request
from service.worker.attempts import Attempts
from service.worker.growing import Grower
from service.worker.lane import Lane
from service.worker.learning import Learning
from service.worker.metrics import WorkerMetrics
from service.worker.pace import LEARN_AT_LEAST_EVERY_S, LEAST, REST, REST_FOR_READERS, LearningPace
from service.worker.row_pace import RowPace
from service.worker.turn_times import TurnTimes
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, stream
from tests.olad_core.streams import two_communities
from tests.service.worker.by_hand import HandClock, Site


class TimedEngine(Engine):
    """A real engine whose parts take a set time on a clock that is set by hand."""

    def __init__(self, config: EngineConfig, clock: HandClock, seconds: float) -> None:
        super().__init__(config, DEVICE)
        self.done: list[str] = []
        self.sizes: list[float] = []
        self.seconds = seconds
        self.slices_take = 1.0
        self.fails = False
        self._clock = clock

    def train_part(self, size: StepSize = FULL_SIZE) -> bool:
        self._take("train", size)
        return super().train_part(size)

    def embed(self, size: StepSize = FULL_SIZE) -> None:
        self._take("embed", size)
        super().embed(size)

    def finish(self, size: StepSize = FULL_SIZE) -> None:
        self._take("finish", size)
        super().finish(size)

    def _take(self, name: str, size: StepSize) -> None:
        self._clock.advance(self.seconds * (self.slices_take if name == "embed" else 1.0))
        self.done.append(name)
        self.sizes.append(size.fraction)
        if self.fails:
            raise RuntimeError("a bug")


@dataclass
class Learner:
    """A lane with an engine that has something to learn."""

    folder: Path
    seconds: float = 0.001
    target_ms: int = 100
    nodes: int = 40
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)

    def __post_init__(self) -> None:
        self.site = Site(self.folder)
        self.clock = self.site.clock
        self.engine = TimedEngine(PAIR, self.clock, self.seconds)
        rows = RowPace(self.target_ms, self.clock)
        times = TurnTimes(self.clock)
        learning = Learning(LearningPace(self.target_ms, 0.0), rows, self.metrics, self.clock, Grower(), times)
        attempts = Attempts(self.folder / "attempts")
        site, metrics = self.site, self.metrics
        self.lane = Lane(
            self.engine,
            site.log,
            site.predictions,
            site.requests,
            attempts,
            learning,
            rows,
            metrics,
            times,
            fixed_steps=None,
        )
        self.site.log.append(two_communities(self.nodes), *stream(turns=9)[1:])
        self.lane.apply(self.site.log.entries[:1])

    def apply_next(self) -> None:
        self.lane.apply(self.lane.read()[:1])

    def count(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None
        return value


def test_slices_and_parts_of_steps_take_turns_while_a_version_is_being_embedded(tmp_path: Path) -> None:
    learner = Learner(tmp_path, nodes=400)
    versions, slices = learner.engine.versions, 0
    slice_is_next = False
    for _ in range(1_000):
        learner.clock.advance(1.0)
        parts = learner.lane.learn_in_time(loaded=False)
        assert parts == (("slice",) if slice_is_next else ("step",))
        slice_is_next = parts == ("step",) and versions.candidate is not None
        slices += parts == ("slice",)
    assert slices > 3
    assert versions.served is not None
    assert learner.site.predictions.version == versions.served.version.shown


def test_a_slice_that_takes_long_is_followed_by_as_much_training(tmp_path: Path) -> None:
    learner = Learner(tmp_path, nodes=400)
    learner.engine.slices_take = 7.0
    parts: list[str] = []
    for _ in range(1_000):
        learner.clock.advance(1.0)
        parts += learner.lane.learn_in_time(loaded=False)
    slices = [number for number, part in enumerate(parts) if part == "slice"]
    between = {later - earlier - 1 for earlier, later in itertools.pairwise(slices)}
    assert min(between) == 7


def test_between_the_parts_of_a_step_events_are_applied(tmp_path: Path) -> None:
    learner, trainer = Learner(tmp_path), None
    for number in range(1, 9):
        learner.clock.advance(1.0)
        assert learner.lane.learn_in_time(loaded=False) == ("step",)
        learner.apply_next()
        assert learner.site.predictions.position == f"{number + 1}-0"
        trainer = learner.engine.trainer
        assert trainer is not None
        assert trainer.steps == 0
    while not learner.engine.train_part():
        pass
    assert trainer is not None
    assert trainer.steps == 1
    assert learner.count("olad_worker_training_failures_total") == 0


def test_under_load_it_learns_for_some_time_once_a_second(tmp_path: Path) -> None:
    learner = Learner(tmp_path, seconds=1 / 128)
    learned_at = []
    for _ in range(40):
        learner.clock.advance(0.125)
        if parts := learner.lane.learn_in_time(loaded=True):
            assert len(parts) == 6
            learned_at.append(learner.clock.now)
    assert len(learned_at) == 4
    assert all(later - earlier > LEARN_AT_LEAST_EVERY_S for earlier, later in itertools.pairwise(learned_at))


def test_a_slice_that_is_next_is_not_forgotten_under_load(tmp_path: Path) -> None:
    learner = Learner(tmp_path, seconds=0.03, nodes=400)
    while not (learner.lane.learn_in_time(loaded=False) == ("step",) and learner.engine.versions.candidate):
        learner.clock.advance(1.0)
    learner.clock.advance(2.0)
    assert learner.lane.learn_in_time(loaded=True) == ("slice", "step")


def test_once_converged_only_slices_are_left_and_then_it_rests(tmp_path: Path) -> None:
    learner = Learner(tmp_path)
    while not learner.engine.train_part():
        pass
    # What convergence is, its own tests show; here nothing but the loop's reaction is of interest.
    learner.engine._convergence.exhaust()
    assert learner.engine.converged
    assert not learner.lane.rests
    learner.engine.done.clear()
    turns = 0
    while not learner.lane.rests:
        learner.clock.advance(1.0)
        assert learner.lane.learn_in_time(loaded=False) == ("slice",)
        turns += 1
        assert turns < 1000
    assert set(learner.engine.done) == {"finish", "embed"}
    assert learner.engine.versions.served is not None
    assert learner.site.predictions.version is not None
    assert learner.lane.learn_in_time(loaded=False) == ()
    assert learner.lane.seconds_to_wait(0.5) == 0.5
    learner.apply_next()
    assert not learner.lane.rests


def test_after_a_part_it_waits_for_events_as_long_as_the_part_took(tmp_path: Path) -> None:
    learner = Learner(tmp_path, seconds=0.03)
    assert learner.lane.learn_in_time(loaded=False) == ("step",)
    assert learner.lane.seconds_to_wait(0.5) == pytest.approx(REST * 0.03)
    learner.clock.advance(0.02)
    assert learner.lane.learn_in_time(loaded=False) == ()
    assert learner.lane.seconds_to_wait(0.5) == pytest.approx(0.01)
    learner.clock.advance(0.011)
    assert learner.lane.learn_in_time(loaded=False) == ("step",)
    # No event has come since the part before: nothing is waited for.
    assert learner.lane.seconds_to_wait(0.5) == 0.0
    learner.apply_next()
    assert learner.lane.learn_in_time(loaded=False) == ("step",)
    assert learner.lane.seconds_to_wait(0.5) > 0


def test_while_readers_request_predictions_it_rests_longer(tmp_path: Path) -> None:
    learner = Learner(tmp_path, seconds=0.01)
    learner.site.requests.pending = [Request("7-0", ("0",))]
    assert learner.lane.answer_requests()
    assert learner.lane.learn_in_time(loaded=False) == ("step",)
    assert learner.lane.seconds_to_wait(0.5) == pytest.approx(REST_FOR_READERS * 0.01)


@pytest.mark.parametrize(("seconds", "grows"), [(0.5, False), (0.0001, True)])
def test_steps_get_the_size_whose_parts_keep_to_the_target(tmp_path: Path, seconds: float, grows: bool) -> None:
    learner = Learner(tmp_path, seconds=seconds)
    for _ in range(600):
        learner.clock.advance(2.0)
        learner.lane.learn_in_time(loaded=False)
    sizes = [size for name, size in zip(learner.engine.done, learner.engine.sizes, strict=True) if name == "train"]
    assert sizes[0] == LEAST["step"]
    assert (sizes == sorted(sizes) or sizes[-1] == 1.0) if grows else set(sizes) == {LEAST["step"]}
    assert (sizes[-1] > 5 * LEAST["step"]) == grows


def test_a_training_that_fails_begins_with_new_students_and_what_is_served_stays(tmp_path: Path) -> None:
    learner = Learner(tmp_path, target_ms=5000)
    while learner.engine.versions.served is None:
        learner.clock.advance(1.0)
        learner.lane.learn_in_time(loaded=False)
    served = learner.engine.versions.served
    learner.engine.fails = True
    learner.clock.advance(5.0)
    assert learner.lane.learn_in_time(loaded=False) != ()
    assert learner.engine.trainer is None
    assert learner.engine.versions.served is served
    assert learner.count("olad_worker_training_failures_total") == 1
    learner.engine.fails = False
    while learner.engine.trainer is None or not learner.engine.trainer.steps:
        learner.clock.advance(5.0)
        assert learner.lane.learn_in_time(loaded=False) == ("step",)
    trainer = learner.engine.trainer
    assert trainer is not None
    assert trainer.steps == 1


def test_it_is_logged_once_that_steps_are_not_recorded_any_more(tmp_path: Path) -> None:
    learner = Learner(tmp_path, target_ms=5000)
    with capture_logs() as lines:
        for _ in range(6):
            learner.clock.advance(5.0)
            learner.lane.learn_in_time(loaded=False)
            if learner.engine.trainer:
                learner.engine.trainer.not_recorded = "operation not permitted when stream is capturing"
    found = [line for line in lines if "CUDA graphs" in line["event"]]
    assert [(line["log_level"], line["problem"]) for line in found] == [
        ("warning", "operation not permitted when stream is capturing")
    ]


def test_a_group_for_which_there_is_no_time_is_replaced_within_a_few_turns(tmp_path: Path) -> None:
    learner = Learner(tmp_path, nodes=400, seconds=1 / 256)
    engine = learner.engine

    def is_group_served() -> bool:
        served = engine.versions.served
        return served is not None and served.version.student == GROUP

    while not (is_group_served() and engine.versions.candidate is None):
        learner.clock.advance(1.0)
        learner.lane.learn_in_time(loaded=False)
    for _ in range(100):
        engine.follow_load(TurnTime(events=20, elapsed_s=0.03, own_s=0.03))
    assert engine.hurries
    turns = []
    while is_group_served():
        learner.clock.advance(0.01)
        turns.append(learner.lane.learn_in_time(loaded=False))
    assert len(turns) < 30
    # Parts follow one another for a fifth of the target, without a rest, and once there is a version only its slices.
    assert all(len(parts) == 6 for parts in turns[:-1])
    begun = next(number for number, parts in enumerate(turns) if "slice" in parts)
    assert {part for parts in turns[begun + 1 :] for part in parts} <= {"slice"}
    assert len(learner.lane.learn_in_time(loaded=False)) == 1
