"""The comparison with what is served, against scores of the same predictions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from olad_core.judging.class_columns import best_columns
from olad_core.judging.metric import parse_metric
from olad_core.judging.metric_standing import RANKED
from olad_core.judging.succession import EQUAL, FEWEST, Succession
from olad_core.tasks.node_class import average_precision, count_ranks

FOR_EVER = 1e12
Case = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def predictions(seed: int, nodes: int, predictors: int = 3, classes: int = 4) -> Case:
    """Predictions ``[n, P, C]`` of different quality, the last of which is served, and labels."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=nodes)
    logits = draw.normal(size=(nodes, predictors, classes))
    logits += np.linspace(0.5, 2, predictors)[:, None] * np.eye(classes)[labels][:, None]
    shares = np.exp(logits)
    return (shares / shares.sum(axis=2, keepdims=True)).astype(np.float32), labels


def compared(together: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], memory: float = FOR_EVER) -> Succession:
    succession = Succession(together.shape[1] - 1, memory)
    for part in np.array_split(np.arange(len(labels)), 4):
        students, served = together[part, :-1], together[part, -1]
        succession.compare(students, served, labels[part], np.ones(together.shape[1] - 1), ranked=1)
    return succession


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), nodes=st.integers(31, 200))
def test_what_labels_show_is_the_difference_of_scores(seed: int, nodes: int) -> None:
    together, labels = predictions(seed, nodes)
    succession = compared(together, labels)
    right = together.argmax(axis=2) == labels[:, None]
    own, before = right[:, :-1], right[:, -1:]
    alone, other = (own & ~before).sum(axis=0), (before & ~own).sum(axis=0)
    shown = (alone - other) / (nodes + EQUAL)
    np.testing.assert_allclose(succession.gain(), shown, rtol=1e-6, atol=1e-9)

    exact = together.astype(np.float64)
    exact /= exact.sum(axis=2, keepdims=True)
    losses = [log_loss(labels, exact[:, place], labels=range(4)) for place in range(3)]
    shown = nodes * (losses[-1] - np.array(losses[:-1])) / (nodes + EQUAL)
    np.testing.assert_allclose(succession.gain(parse_metric("log_loss")), shown, rtol=1e-4, atol=1e-5)

    of_class = int((labels == 1).sum())
    if of_class:
        precision = average_precision(count_ranks(together, labels, np.ones((nodes, 3)), 4))[:, 1]
        shown = (precision[:-1] - precision[-1]) * of_class / (of_class + RANKED)
        found = succession.gain(parse_metric("average_precision:b"))
        np.testing.assert_allclose(found, shown, rtol=1e-6)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss", "average_precision:b"])
def test_a_better_student_gains_and_a_worse_one_does_not(metric: str) -> None:
    together, labels = predictions(1, 2_000)
    worst_served = compared(together[:, ::-1], labels).gain(parse_metric(metric))
    best_served = compared(together, labels).gain(parse_metric(metric))
    assert (worst_served > 0.05).all()
    assert (best_served < -0.05).all()


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss", "average_precision:b"])
def test_few_labels_show_nothing(metric: str) -> None:
    for nodes in (0, int(FEWEST) - 1):
        together, labels = predictions(1, nodes)
        assert np.isnan(compared(together[:, ::-1], labels).gain(parse_metric(metric))).all()
    together, labels = predictions(1, int(FEWEST) + 1)
    assert np.isfinite(compared(together[:, ::-1], labels).gain(parse_metric(metric))).all()


def test_what_came_before_a_drift_weighs_less() -> None:
    together, labels = predictions(1, 400)
    succession = compared(together, labels, memory=500)
    before = succession.gain()
    succession.forget(20)
    students, served = together[:100, :-1], together[:100, -1]
    # From now on what was right is wrong, and what is served is mostly wrong.
    succession.compare(students, served, (labels[:100] + 1) % 4, np.ones(2))
    assert (succession.gain() > before).all()


def test_of_many_classes_the_remembered_columns_show_the_same() -> None:
    together, labels = predictions(3, 120, classes=100)
    whole = compared(together, labels)
    narrow, columns = best_columns(together)
    succession = Succession(2, FOR_EVER)
    succession.compare(narrow[:, :-1], narrow[:, -1], labels, np.ones(2), columns, ranked=1)
    np.testing.assert_allclose(succession.gain(), whole.gain(), rtol=1e-6)
    metric = parse_metric("macro_f1")
    np.testing.assert_allclose(succession.gain(metric), whole.gain(metric), atol=1e-6)


def test_a_state_is_restored_and_another_class_begins_at_zero() -> None:
    together, labels = predictions(1, 200)
    metric = parse_metric("average_precision:b")
    succession = compared(together, labels)
    other = Succession(2, FOR_EVER)
    other.restore(succession.state())
    for name, array in succession.state().items():
        np.testing.assert_array_equal(other.state()[name], array)
    other.compare(together[:1, :-1], together[:1, -1], labels[:1], np.ones(2), ranked=2)
    assert other.state()["ranks"].sum() <= succession.state()["ranks"].sum() / 50
    assert (other.gain(metric) <= 0).all()
