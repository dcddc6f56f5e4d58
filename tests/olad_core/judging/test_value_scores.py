"""Scores of predicted numbers, compared with their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.judging.value_scores import ValueScores, ValueTable


def test_scores_are_those_of_all_values_and_of_faded_ones() -> None:
    draw, memory = np.random.default_rng(0), 50.0
    values = draw.normal(1e6, 3, 400)
    predicted = values + draw.normal(0.5, 1, 400)
    ends = np.stack([predicted - 1, predicted + 2], axis=1)
    scores = ValueScores(memory)
    assert scores.table() == scores.recent() == ValueTable()
    for first, last in ((0, 1), (1, 300), (300, 400)):
        scores.add(predicted[first:last], ends[first:last], values[first:last])
    restored = ValueScores(memory)
    restored.restore(scores.state())
    assert restored.table() == scores.table()
    assert restored.scored == 400
    for table, weight in ((scores.table(), np.ones(400)), (restored.recent(), np.exp(-np.arange(400)[::-1] / memory))):
        share = weight / weight.sum()
        error, mean = predicted - values, share @ values
        inside = (ends[:, 0] <= values) & (values <= ends[:, 1])
        expected = (
            share @ np.abs(error),
            np.sqrt(share @ error**2),
            1 - share @ error**2 / (share @ (values - mean) ** 2),
        )
        assert (table.mae, table.rmse, table.r2) == pytest.approx(expected)
        assert (table.coverage, table.width) == pytest.approx((share @ inside, 3.0))


def test_equal_values_have_no_variance_to_explain() -> None:
    scores = ValueScores(10)
    scores.add(np.array([1.0, 2.0]), np.array([[0.0, 2.0], [2.5, 3.0]]), np.array([2.0, 2.0]))
    table = scores.table()
    assert (table.r2, table.mae, table.coverage) == (None, 0.5, 0.5)
