from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from olad_core.judging.metric import parse_metric
from service.replay.arrival_stream import Batch
from service.replay.served_score import RECENT, Accuracy, ServedScore

answers = st.sampled_from(["a", "b", None])


@given(st.lists(st.tuples(answers, answers), max_size=50), st.integers(0, 20), st.integers(1, 7))
def test_counts_like_a_plain_recount(nodes: list[tuple[str | None, str | None]], score_from: int, size: int) -> None:
    """Each node: what was served, what is true (None: not served, unknown)."""
    score = ServedScore(score_from)
    for first in range(0, len(nodes), size):
        part = list(enumerate(nodes))[first : first + size]
        truths = tuple((str(i), truth) for i, (_, truth) in part if truth is not None)
        score.record(Batch((), tuple(str(i) for i, _ in part), truths), [served for _, (served, _) in part])
    for found, later in ((score.whole, nodes), (score.later, nodes[score_from:])):
        scored = [served == truth for served, truth in later if served is not None and truth is not None]
        unserved = sum(served is None for served, _ in later)
        assert found == Accuracy(sum(scored), len(scored), unserved)
    assert score.arrivals == len(nodes)


def test_macro_f1_counts_every_class_alike() -> None:
    score = ServedScore(score_from=6)
    assert score.macro_f1 is None
    truths, served = "aaaabbab", "aaaaaabc"
    names = tuple(map(str, range(8)))
    score.record(Batch((), names, tuple(zip(names, truths, strict=True))), list(served))
    # a: 4 hits of 5 labels and 6 predictions; b: none of 3 and 1; c: none of 0 and 1.
    assert score.macro_f1 == pytest.approx((8 / 11 + 0 + 0) / 3)
    assert score.macro_f1_later == 0.0


def test_a_class_known_only_later_scores_what_was_served_at_arrival() -> None:
    score = ServedScore(score_from=0)
    score.record(Batch((), ("n", "m"), ()), ["a", "a"])
    assert score.whole.value is None
    score.record(Batch((), (), (("n", "a"), ("m", "b"), ("stranger", "b"))), [])
    assert score.whole == score.later == Accuracy(right=1, scored=2)


def test_a_second_truth_does_not_score_again() -> None:
    score = ServedScore(score_from=0)
    score.record(Batch((), ("n",), (("n", "a"), ("n", "b"))), ["a"])
    assert score.whole == Accuracy(right=1, scored=1)


def test_recent_forgets_what_is_old() -> None:
    score = ServedScore(score_from=0)
    for i in range(2 * RECENT):
        score.record(Batch((), (str(i),), ((str(i), "a"),)), ["b" if i < RECENT else "a"])
    assert (score.whole.value, score.recent) == (0.5, Accuracy(right=RECENT, scored=RECENT))


class TestLead:
    def test_before_anything_is_scored_there_is_none(self) -> None:
        lead = ServedScore(score_from=0).lead()
        assert (lead.value, lead.baseline, lead.baseline_of) == (None, None, "")

    def test_with_a_rare_class_it_is_macro_f1_beside_always_naming_the_other(self) -> None:
        score = ServedScore(score_from=0)
        truths, served = ["ok"] * 92 + ["fraud"] * 8, ["ok"] * 98 + ["fraud"] * 2
        names = tuple(map(str, range(100)))
        score.record(Batch((), names, tuple(zip(names, truths, strict=True))), served)
        lead = score.lead()
        assert (lead.metric, lead.declared, lead.value) == ("macro_f1", False, score.macro_f1)
        assert lead.baseline == pytest.approx(2 * 0.92 / 1.92 / 2)
        assert lead.baseline_of == "always 'ok'"
        assert score.lead(parse_metric("accuracy")).value == score.whole.value
        # Labels alone show no log-loss.
        assert score.lead(parse_metric("log_loss")).metric == "macro_f1"


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 10)), min_size=1, max_size=300))
def test_classes_and_ranking_are_those_of_scikit_learn(nodes: list[tuple[str, int]]) -> None:
    truths, served = [truth for truth, _ in nodes], ["b" if share > 5 else "a" for _, share in nodes]
    score = ServedScore(score_from=0)
    ids = tuple(str(node) for node in range(len(nodes)))
    batch = Batch((), ids, tuple(zip(ids, truths, strict=True)))
    score.record(batch, served, [share / 10 for _, share in nodes])
    report = score.class_report("b")
    assert report is not None
    names = [row.name for row in report.classes]
    expected = precision_recall_fscore_support(truths, served, labels=names, zero_division=np.nan)
    for row, precision, recall, support in zip(report.classes, expected[0], expected[1], expected[3], strict=True):
        assert row.support == support
        assert row.whole.precision == (None if np.isnan(precision) else pytest.approx(precision))
        assert row.whole.recall == (None if np.isnan(recall) else pytest.approx(recall))
    found = score.ranking("b")
    of_class = [truth == "b" for truth in truths]
    assert found.top == math.ceil(len(nodes) / 100)
    assert found.of_class == sum(of_class)
    if any(of_class):
        shares = [share for _, share in nodes]
        assert found.average_precision == pytest.approx(average_precision_score(of_class, shares))
    else:
        assert found.average_precision is None
