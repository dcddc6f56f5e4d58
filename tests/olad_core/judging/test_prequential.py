import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.judging.prequential import Scores
from olad_core.tasks.node_class import LEAST_PROBABILITY

NAN = math.nan
MEMORY = 3.0

Prediction = list[list[float]]


def array(values: object) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)


def plain(predictions: list[Prediction], labels: list[int], predictors: int) -> list[tuple[float, ...]]:
    """Scored nodes, accuracy, log-loss and their recent forms of each predictor, one node after the other."""
    results = []
    for predictor in range(predictors):
        count, right, loss, weight, recent_right, recent_loss = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        for prediction, label in zip(predictions, labels, strict=True):
            predicted = prediction[predictor]
            if any(math.isnan(p) for p in predicted):
                continue
            of_truth = predicted[label] if label < len(predicted) else 0.0
            hit = float(predicted.index(max(predicted)) == label)
            miss = -math.log(max(of_truth, LEAST_PROBABILITY))
            keep = math.exp(-1 / MEMORY)
            count, right, loss = count + 1, right + hit, loss + miss
            weight, recent_right, recent_loss = 1 + keep * weight, hit + keep * recent_right, miss + keep * recent_loss
        ratios = (right, count), (loss, count), (recent_right, weight), (recent_loss, weight)
        results.append((count, *(part / whole if whole else NAN for part, whole in ratios)))
    return results


def plain_macro_f1(pairs: list[tuple[int, int, float]]) -> float:
    """Of labels, predictions and their weights."""
    classes = {label for label, _, _ in pairs} | {predicted for _, predicted, _ in pairs}
    f1 = []
    for one in classes:
        hits = sum(weight for label, predicted, weight in pairs if label == predicted == one)
        support = sum(weight * ((label == one) + (predicted == one)) for label, predicted, weight in pairs)
        f1.append(2 * hits / support)
    return sum(f1) / len(f1) if f1 else NAN


def found(scores: Scores) -> list[tuple[float, ...]]:
    columns = scores.accuracy(), scores.log_loss(), scores.recent_accuracy(), scores.recent_log_loss()
    return [(int(scores.scored[p]), *(float(column[p]) for column in columns)) for p in range(len(scores.scored))]


_probability = st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0])
_predicted = st.lists(_probability, min_size=3, max_size=3) | st.just([NAN] * 3)
_node = st.tuples(st.lists(_predicted, min_size=2, max_size=2), st.integers(0, 4))


class TestScores:
    @given(st.lists(st.lists(_node, max_size=5), max_size=4))
    @settings(max_examples=60)
    def test_are_those_of_plain_python(self, batches: list[list[tuple[Prediction, int]]]) -> None:
        scores = Scores(2, MEMORY)
        for batch in batches:
            predictions = array([node for node, _ in batch]).reshape(len(batch), 2, 3)
            scores.add(predictions, np.array([label for _, label in batch], np.int64))
        nodes = [node for batch in batches for node in batch]
        expected = plain([node for node, _ in nodes], [label for _, label in nodes], 2)
        np.testing.assert_allclose(np.array(found(scores)), np.array(expected), rtol=1e-6)

    @given(st.lists(st.lists(_node, max_size=5), max_size=4))
    @settings(max_examples=60)
    def test_macro_f1_is_that_of_plain_python(self, batches: list[list[tuple[Prediction, int]]]) -> None:
        scores = Scores(2, memory=20)
        for batch in batches:
            predictions = array([node for node, _ in batch]).reshape(len(batch), 2, 3)
            scores.add(predictions, np.array([label for _, label in batch], np.int64))
        for predictor in range(2):
            labelled = [(node[predictor], label) for batch in batches for node, label in batch]
            scored = [
                (label, predicted.index(max(predicted)))
                for predicted, label in labelled
                if not math.isnan(predicted[0])
            ]
            newest_first = [(*pair, math.exp(-age / 20)) for age, pair in enumerate(scored[::-1])]
            whole = plain_macro_f1([(*pair, 1.0) for pair in scored])
            assert scores.macro_f1()[predictor] == pytest.approx(whole, nan_ok=True)
            recent = plain_macro_f1(newest_first)
            assert scores.recent_macro_f1()[predictor] == pytest.approx(recent, nan_ok=True)

    def test_calibration_error_is_the_distance_of_confidence_and_accuracy_with_forgetting(self) -> None:
        scores = Scores(2, memory=20)
        assert np.isnan(scores.recent_calibration_error()).all()
        scores.add(array([[[1.0, 0.0], [NAN, NAN]]] * 400), np.ones(400, np.int64))
        scores.add(array([[[0.75, 0.25], [0.5, 0.5]]] * 100), np.zeros(100, np.int64))
        # Weight of the 400, which were sure and wrong: e^(-100/20).
        expected = 1.0 * math.exp(-5) + 0.25 * (1 - math.exp(-5))
        assert scores.recent_calibration_error().tolist() == pytest.approx([expected, 0.5], rel=1e-3)

    def test_a_rare_class_never_found_halves_macro_f1_where_accuracy_hardly_sees_it(self) -> None:
        scores = Scores(1, memory=100)
        scores.add(array([[[0.9, 0.1]]] * 95), np.zeros(95, np.int64))
        scores.add(array([[[0.9, 0.1]]] * 5), np.ones(5, np.int64))
        assert scores.accuracy()[0] == pytest.approx(0.95)
        assert scores.macro_f1()[0] == pytest.approx(0.5 * 2 * 95 / 195)

    def test_a_class_not_met_for_long_no_longer_counts_as_recent(self) -> None:
        scores = Scores(1, MEMORY)
        scores.add(array([[[0.9, 0.1]]]), np.ones(1, np.int64))
        scores.add(array([[[0.9, 0.1]]] * 40), np.zeros(40, np.int64))
        assert scores.recent_macro_f1()[0] == pytest.approx(1.0, abs=1e-5)
        assert scores.macro_f1()[0] < 0.6

    def test_before_the_first_node_nothing_is_known(self) -> None:
        scores = Scores(2, MEMORY)
        assert np.isnan([row[1:] for row in found(scores)]).all()
        assert scores.scored.tolist() == [0, 0]

    def test_a_class_unknown_at_arrival_was_given_no_probability(self) -> None:
        scores = Scores(1, MEMORY)
        scored = scores.add(array([[[1.0, 0.0]]]), np.array([2]))
        assert scored.right.tolist() == [[False]]
        assert scores.log_loss()[0] == pytest.approx(-math.log(LEAST_PROBABILITY))

    def test_a_predictor_that_knew_no_class_at_all_was_wrong(self) -> None:
        scores = Scores(1, MEMORY)
        assert scores.add(np.zeros((1, 1, 0), np.float32), np.array([0])).right.tolist() == [[False]]
        assert scores.accuracy().tolist() == [0.0]

    def test_who_had_nothing_to_say_forgets_nothing(self) -> None:
        scores = Scores(2, MEMORY)
        scores.add(array([[[0.9, 0.1], [0.9, 0.1]]]), np.array([0]))
        before = found(scores)[1]
        scored = scores.add(array([[[0.9, 0.1], [NAN, NAN]]] * 5), np.ones(5, np.int64))
        assert scored.right.tolist() == [[False, False]] * 5
        assert found(scores)[1] == before
        assert found(scores)[0][1] == pytest.approx(1 / 6)

    def test_the_recent_score_follows_a_change_that_the_whole_one_hardly_sees(self) -> None:
        scores = Scores(1, memory=20)
        scores.add(array([[[1.0, 0.0]]] * 400), np.zeros(400, np.int64))
        scores.add(array([[[1.0, 0.0]]] * 60), np.ones(60, np.int64))
        # Weight of the 400: e^(-60/20).
        assert scores.recent_accuracy()[0] == pytest.approx(math.exp(-3), rel=1e-3)
        assert scores.accuracy()[0] == pytest.approx(400 / 460)

    def test_after_forgetting_the_next_ones_count_as_if_only_so_many_came_before(self) -> None:
        scores = Scores(2, memory=1000)
        scores.add(array([[[1.0, 0.0], [1.0, 0.0]]] * 900), np.zeros(900, np.int64))
        scores.forget(10)
        assert scores.recent_accuracy().tolist() == pytest.approx([1.0, 1.0])
        scores.add(array([[[1.0, 0.0], [0.0, 1.0]]] * 10), np.ones(10, np.int64))
        assert scores.recent_accuracy().tolist() == pytest.approx([0.5, 1.0], abs=0.01)

    @pytest.mark.parametrize("scored", [0, 1, 5])
    def test_of_fewer_nothing_is_forgotten(self, scored: int) -> None:
        scores = Scores(1, MEMORY)
        scores.add(array([[[0.75, 0.25]]] * scored).reshape(scored, 1, 2), np.zeros(scored, np.int64))
        before = scores.state()["faded"].ravel().tolist()
        scores.forget(5)
        assert scores.state()["faded"].ravel().tolist() == pytest.approx(before)

    def test_go_on_from_their_state(self) -> None:
        one, other = Scores(2, MEMORY), Scores(2, MEMORY)
        one.add(array([[[0.9, 0.1], [0.2, 0.8]]]), np.array([0]))
        other.restore(one.state())
        for scores in (one, other):
            scores.add(array([[[0.9, 0.1], [NAN, NAN]]]), np.array([1]))
        assert str(found(one)) == str(found(other))
        for name, array_of_one in one.state().items():
            np.testing.assert_array_equal(array_of_one, other.state()[name])
