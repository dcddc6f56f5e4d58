"""Average precision out of histograms, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from olad_core.tasks.node_class import RANKED_CLASSES, average_precision, count_ranks

# Far enough from each other to fall into different bins, or equal.
_share = st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0])
_node = st.tuples(st.tuples(_share, _share, _share), st.integers(0, 4), st.sampled_from([0.0, 0.25, 1.0]))


@given(st.lists(_node, min_size=1, max_size=30))
@settings(max_examples=100)
def test_is_that_of_scikit_learn(nodes: list[tuple[tuple[float, float, float], int, float]]) -> None:
    shares = np.array([[node[0]] for node in nodes], np.float32)
    labels, weight = np.array([node[1] for node in nodes]), np.array([[node[2]] for node in nodes])
    found = average_precision(count_ranks(shares, labels, weight, 4))[0]
    padded = np.pad(shares[:, 0], ((0, 0), (0, 1)))
    for number in range(4):
        own = labels == number
        if not weight[own, 0].sum():
            assert np.isnan(found[number])
        else:
            expected = average_precision_score(own, padded[:, number], sample_weight=weight[:, 0])
            assert found[number] == pytest.approx(expected)


def test_bins_cost_little_on_probabilities_of_a_rare_class() -> None:
    random = np.random.default_rng(0)
    own = random.random(5000) < 0.02
    share = 1 / (1 + np.exp(4 - 3 * own - random.normal(size=5000)))
    shares = np.stack([1 - share, share], axis=1).astype(np.float32)[:, None]
    found = average_precision(count_ranks(shares, own.astype(np.int64), np.ones((5000, 1)), 2))[0, 1]
    assert found == pytest.approx(average_precision_score(own, share), abs=0.01)


def test_an_answer_without_weight_does_not_matter() -> None:
    shares = np.array([[[0.9, 0.1]], [[np.nan, np.nan]]], np.float32)
    counts = count_ranks(shares, np.array([0, 1]), np.array([[1.0], [0.0]]), 2)
    assert counts.sum() == 1 + 2
    assert np.isnan(average_precision(counts)[0, 1])


def test_classes_beyond_the_ranked_ones_are_left_out() -> None:
    shares = np.full((1, 1, RANKED_CLASSES + 5), 1 / 300, np.float32)
    counts = count_ranks(shares, np.array([RANKED_CLASSES + 2]), np.ones((1, 1)), RANKED_CLASSES)
    assert counts.shape[2] == RANKED_CLASSES
    assert not counts[0].any()
