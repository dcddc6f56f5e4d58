"""The head: it begins at the shares of the classes, and answers each edge alike whatever is asked with it."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.tasks.edge_class import Asked, Head, History, Inputs

SHARES = np.array([0.93, 0.07], np.float32)


def inputs_of(edges: int, seed: int = 0) -> Inputs:
    draw, history = np.random.default_rng(seed), History(2)
    ends = draw.integers(20, size=(edges, 2))
    none = np.full(edges, -2)
    asked = Asked(ends[:, 0], ends[:, 1], draw.uniform(1, 9, edges), np.arange(float(edges)), none, none)
    history.arrive(asked)
    return history.inputs(asked, draw.normal(size=(edges, 5)).astype(np.float32))


def test_a_head_that_has_learned_nothing_gives_the_shares_of_the_classes() -> None:
    found = Head(2, 0, 5).probabilities(inputs_of(10), SHARES)
    assert found == pytest.approx(np.tile(SHARES, (10, 1)), abs=1e-6)
    assert Head(2, 0, 5).probabilities(inputs_of(10).part(np.empty(0, np.int64)), SHARES).shape == (0, 2)


@pytest.mark.parametrize("together", [1, 7, 64, 65, 200])
def test_an_answer_does_not_depend_on_what_is_asked_with_it(together: int) -> None:
    inputs, head = inputs_of(200), Head(2, 0, 5)
    head.observe(inputs)
    for _ in range(20):
        head.learn(inputs, np.arange(200) % 2, SHARES)
    whole = head.probabilities(inputs, SHARES)
    parts = [np.arange(first, min(200, first + together)) for first in range(0, 200, together)]
    assert (
        np.concatenate([head.probabilities(inputs.part(part), SHARES) for part in parts]).tobytes() == whole.tobytes()
    )
