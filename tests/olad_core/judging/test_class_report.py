"""The report class by class, against scikit-learn on the same predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from olad_core.judging import class_scores
from olad_core.judging.class_columns import best_columns
from olad_core.judging.class_report import ClassReport
from olad_core.judging.prequential import Scores
from olad_core.tasks.node_class import RANKED_CLASSES

NAMES = ("a", "b", "c", "d", "e")
MEMORY = 1e12
"""Nothing is forgotten."""

_pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


def scored(pairs: list[tuple[int, int]], memory: float = MEMORY, batch: int = 7) -> Scores:
    """Of one predictor; pairs of label and predicted class."""
    scores = Scores(1, memory)
    for begin in range(0, len(pairs), batch):
        some = np.array(pairs[begin : begin + batch])
        shares = np.full((len(some), 1, 5), 0.1, np.float32)
        shares[np.arange(len(some)), 0, some[:, 1]] = 0.6
        scores.add(shares, some[:, 0])
    return scores


def report(pairs: list[tuple[int, int]], most: int = 20) -> ClassReport:
    return scored(pairs).class_report(0, NAMES, most)


@given(_pairs)
@settings(max_examples=60)
def test_measures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    found = report(pairs)
    truth, predicted = zip(*pairs, strict=True)
    expected = precision_recall_fscore_support(truth, predicted, labels=range(5), zero_division=np.nan)
    assert {row.name for row in found.classes} == {NAMES[number] for pair in pairs for number in pair}
    assert [row.support for row in found.classes] == sorted((row.support for row in found.classes), reverse=True)
    for row in found.classes:
        precision, recall, f1, support = (column[NAMES.index(row.name)] for column in expected)
        assert row.support == support
        for measures in (row.whole, row.recent):
            found_here = np.array([measures.precision, measures.recall, measures.f1], np.float64)
            np.testing.assert_allclose(found_here, [precision, recall, f1])


@given(_pairs)
@settings(max_examples=60)
def test_confusion_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    confusion = report(pairs).confusion
    assert confusion is not None
    truth, predicted = zip(*pairs, strict=True)
    numbers = [NAMES.index(name) for name in confusion.classes]
    assert not confusion.further
    assert np.array_equal(
        confusion.counts, confusion_matrix(truth, predicted, labels=range(5))[np.ix_(numbers, numbers)]
    )


@given(_pairs, st.integers(1, 4))
@settings(max_examples=60)
def test_classes_that_are_not_listed_are_one_row_and_column(pairs: list[tuple[int, int]], most: int) -> None:
    found, whole = report(pairs, most), report(pairs)
    assert found.classes == whole.classes[:most]
    assert found.unlisted == len(whole.classes) - len(found.classes)
    assert found.confusion is not None
    assert found.confusion.further == (found.unlisted > 0)
    assert sum(map(sum, found.confusion.counts)) == len(pairs)


def test_accuracy_that_the_commonest_class_alone_explains() -> None:
    found = report([(0, 0)] * 90 + [(1, 0)] * 8 + [(1, 1)] * 2)
    assert (found.commonest, found.commonest_accuracy) == ("a", 0.9)
    assert found.commonest_macro_f1 == pytest.approx((2 * 0.9 / 1.9 + 0) / 2)
    rare = found.classes[1]
    assert (rare.name, rare.support, rare.predicted, rare.whole.precision, rare.whole.recall) == ("b", 10, 2, 1.0, 0.2)


def test_recent_measures_forget() -> None:
    pairs = [(1, 0)] * 50 + [(1, 1)] * 50
    row = scored(pairs, memory=5.0).class_report(0, NAMES).classes[0]
    assert row.whole.recall == 0.5
    assert row.recent.recall == pytest.approx(1.0, abs=1e-3)


def test_nothing_scored_is_an_empty_report() -> None:
    found = Scores(1, MEMORY).class_report(0, NAMES)
    assert (found.scored, found.classes, found.commonest, found.unlisted) == (0, (), None, 0)
    assert found.commonest_accuracy is found.commonest_macro_f1 is None


def test_a_checkpoint_holds_it_and_one_of_an_earlier_release_begins_anew() -> None:
    before = scored([(0, 0), (1, 0), (4, 4)])
    after = Scores(1, MEMORY)
    after.restore(before.state())
    assert after.class_report(0, NAMES) == before.class_report(0, NAMES)
    earlier = Scores(1, MEMORY)
    earlier.restore({name: array for name, array in before.state().items() if not name.startswith("by_class/")})
    found = earlier.class_report(0, NAMES)
    assert [row.whole.recall for row in found.classes] == [
        row.whole.recall for row in before.class_report(0, NAMES).classes
    ]
    assert found.classes[0].whole.average_precision is None


def test_memory_is_bounded_whatever_the_number_of_classes() -> None:
    scores, classes = Scores(2, MEMORY), class_scores.CONFUSED_CLASSES + 50
    shares = np.full((1, 2, classes), 1 / classes, np.float32)
    scores.add(shares, np.array([classes - 1]))
    state = scores.state()
    assert state["by_class/ranks"].shape[2] == RANKED_CLASSES
    assert state["by_class/confusion"].shape == (class_scores.CONFUSED_CLASSES + 1,) * 2
    found = scores.class_report(1, [str(number) for number in range(classes)])
    assert found.classes[0].name == str(classes - 1)
    assert found.confusion is not None
    assert sum(map(sum, found.confusion.counts)) == 1


def test_classes_of_many_are_ranked_by_the_columns_that_are_remembered() -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(200, 0.05), size=(20, 2)).astype(np.float32)
    kept, columns = best_columns(shares)
    spread = columns.spread(kept, RANKED_CLASSES)
    own = [[number for number in row[:-1] if number < RANKED_CLASSES] for row in columns.table.tolist()]
    for node, numbers in enumerate(own):
        assert np.array_equal(spread[node][:, numbers], shares[node][:, numbers])
        others = np.setdiff1d(np.arange(RANKED_CLASSES), numbers)
        assert (spread[node][:, others] == kept[node][:, -1:]).all()
