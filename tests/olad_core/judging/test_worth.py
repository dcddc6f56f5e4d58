from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from olad_core.judging.calibration import tempered
from olad_core.judging.worth import MEMORY, Worth, calibrated_scores
from olad_core.learning.teaching import DECIDED, UNDECIDED

Rows = npt.NDArray[np.int64]
CLASSES = 3


def sure(classes: Rows, confidence: float = 0.8, width: int = CLASSES) -> npt.NDArray[np.float32]:
    """Probabilities ``[n, width]`` of one that predicts these classes."""
    rest = (1 - confidence) / (width - 1)
    probabilities: npt.NDArray[np.float32] = np.full((len(classes), width), rest, np.float32)
    probabilities[np.arange(len(classes)), classes] = confidence
    return probabilities


class Stream:
    """Twins that are right at random, the taught one more often by a gain. They differ on a share of the nodes."""

    def __init__(self, seed: int, gain: float, differ: float = 0.1, accuracy: float = 0.7) -> None:
        self.random = np.random.default_rng(seed)
        self.gain, self.differ, self.accuracy = gain, differ, accuracy
        self.worth, self.count = Worth(10_000), 0

    def goes_on(self, nodes: int) -> float:
        """The lead after more nodes."""
        rows = np.arange(self.count, self.count + nodes)
        labels = self.random.integers(CLASSES, size=nodes)
        right = self.random.random(nodes) < self.accuracy
        apart = self.random.random(nodes) < self.differ
        untaught = np.where(apart, self.random.random(nodes) < (1 - self.gain / self.differ) / 2, right)
        taught = np.where(apart, ~untaught, right)
        predicted = [np.where(each, labels, (labels + 1) % CLASSES) for each in (untaught, taught)]
        self.worth.remember(rows, rows, np.stack([sure(each) for each in predicted], axis=1))
        self.worth.score(rows, rows, labels)
        self.count += nodes
        return self.worth.lead()


class TestLead:
    def test_is_nothing_before_the_first_comparison(self) -> None:
        assert Worth(100).lead() == 0

    def test_is_nothing_where_the_twins_predict_alike(self) -> None:
        assert Stream(0, gain=0.0, differ=1e-9).goes_on(500) == 0

    def test_one_comparison_shows_nothing(self) -> None:
        worth, row = Worth(100), np.arange(1)
        worth.remember(row, row, np.stack([sure(row + 1), sure(row)], axis=1))
        worth.score(row, row, row)
        assert 0 < worth.lead() < 1.1

    @pytest.mark.parametrize(("gain", "sign"), [(0.05, 1), (-0.05, -1)])
    def test_grows_with_what_teaching_changes(self, gain: float, sign: int) -> None:
        assert sign * Stream(1, gain).goes_on(2000) > 3

    def test_a_small_difference_on_every_node_is_found(self) -> None:
        """Twins that learn from the same nodes differ little, but alike."""
        worth, random, rows = Worth(10_000), np.random.default_rng(0), np.arange(400)
        labels = random.integers(CLASSES, size=400)
        predicted = np.where(random.random(400) < 0.7, labels, (labels + 1) % CLASSES)
        untaught = sure(predicted)
        taught = untaught + 0.01 * (np.eye(CLASSES)[labels] - untaught)
        worth.remember(rows, rows, np.stack([untaught, taught.astype(np.float32)], axis=1))
        worth.score(rows, rows, labels)
        assert worth.lead() > 1

    def test_follows_a_stream_on_which_teaching_begins_to_harm(self) -> None:
        stream = Stream(3, gain=0.05)
        before = stream.goes_on(3000)
        stream.gain = -0.05
        after = stream.goes_on(3000)
        assert before > 3
        assert after < -3

    def test_a_drift_lets_it_follow_sooner(self) -> None:
        one, other = Stream(4, gain=0.05), Stream(4, gain=0.05)
        one.goes_on(3000), other.goes_on(3000)
        other.worth.forget(50)
        one.gain = other.gain = -0.05
        assert other.goes_on(300) < one.goes_on(300) - 1

    def test_confidence_alone_is_no_lead(self) -> None:
        """The untaught one is far too confident. It predicts as well, and a temperature makes up for it."""
        worth, random, rows = Worth(10_000), np.random.default_rng(0), np.arange(6000)
        labels = random.integers(CLASSES, size=6000)
        predicted = np.where(random.random(6000) < 0.7, labels, (labels + 1) % CLASSES)
        both = np.stack([sure(predicted, 0.98), sure(predicted, 0.7)], axis=1)
        for part in np.split(rows, 120):
            worth.remember(part, part, both[part])
            worth.score(part, part, labels[part])
        untaught, taught = worth.scores()
        assert abs(untaught - taught) < 0.002


class TestErrorRate:
    """How often the rule is wrong, over 150 streams of independent nodes."""

    def leads(self, gain: float, nodes: int) -> npt.NDArray[np.float64]:
        return np.array([Stream(seed, gain).goes_on(nodes) for seed in range(150)])

    @pytest.mark.parametrize("nodes", [100, 1000])
    def test_without_an_effect_evidence_alone_hardly_ever_decides(self, nodes: int) -> None:
        leads = self.leads(0.0, nodes)
        assert np.mean(np.abs(leads) > UNDECIDED) == pytest.approx(0.3, abs=0.1)
        assert np.mean(np.abs(leads) > DECIDED) < 0.01

    def test_an_effect_of_two_points_is_never_found_with_the_wrong_sign(self) -> None:
        leads = self.leads(-0.02, 1000)
        assert np.mean(leads < -UNDECIDED) > 0.8
        assert np.mean(leads > UNDECIDED) < 0.01

    def test_an_effect_of_four_points_is_found(self) -> None:
        assert np.mean(self.leads(0.04, 1000) > DECIDED) > 0.7


class TestScores:
    def test_are_those_of_all_classes_where_many_are_remembered_together(self) -> None:
        """The last column stands for 40 classes, each of which has a fortieth of it."""
        random, temperature = np.random.default_rng(0), np.array([1.7])
        few = random.dirichlet(np.ones(4), size=20)
        every = np.concatenate([few[:, :3], np.repeat(few[:, 3:] / 40, 40, axis=1)], axis=1)
        columns = np.concatenate([few[:, :3], few[:, 3:] / 40], axis=1)
        counts = np.tile([1.0, 1.0, 1.0, 40.0], (20, 1))
        labels = random.integers(4, size=20)
        found = calibrated_scores(columns[:, None], labels, temperature, counts)[:, 0]
        shares = tempered(every, np.full(20, temperature[0]))
        truth = np.eye(43)[labels]
        np.testing.assert_allclose(found, ((shares - truth) ** 2).sum(axis=1), rtol=1e-6)

    def test_a_class_that_was_unknown_at_arrival_compares_nothing(self) -> None:
        worth = Worth(100)
        worth.remember(np.arange(3), np.arange(3), np.stack([sure(np.zeros(3, int)), sure(np.ones(3, int))], axis=1))
        worth.score(np.arange(3), np.arange(3), np.full(3, 5))
        assert worth.weight == 0
        assert np.isnan(worth.scores()).all()

    def test_are_compared_where_classes_are_more_than_are_remembered(self) -> None:
        worth, rows, labels = Worth(1000), np.arange(300), np.arange(300) % 100
        both = np.stack([sure((labels + 1) % 100, width=100), sure(labels, width=100)], axis=1)
        worth.remember(rows, rows, both)
        worth.score(rows, rows, labels)
        assert worth.lead() > 3
        untaught, taught = worth.scores()
        assert untaught - taught > 0.5

    def test_fade(self) -> None:
        stream = Stream(5, gain=0.0)
        stream.goes_on(20_000)
        assert stream.worth.weight == pytest.approx(MEMORY, rel=0.01)


def test_goes_on_from_its_state() -> None:
    one, other = Stream(6, gain=0.02), Stream(6, gain=0.02)
    one.goes_on(200), other.goes_on(200)
    waiting = np.arange(5000, 5010)
    one.worth.remember(waiting, waiting, np.stack([sure(np.zeros(10, int)), sure(np.ones(10, int))], axis=1))
    other.worth = Worth(10_000)
    other.worth.restore(one.worth.state())
    for stream in (one, other):
        stream.worth.score(waiting, waiting, np.ones(10, int))
        stream.goes_on(100)
    assert one.worth.weight == pytest.approx(MEMORY * (1 - np.exp(-310 / MEMORY)), rel=0.01)
    for name, array in one.worth.state().items():
        assert array.tobytes() == other.worth.state()[name].tobytes(), name
