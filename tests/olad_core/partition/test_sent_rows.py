"""Rows of layers on their way to other ranks."""

from __future__ import annotations

import numpy as np

from olad_core.partition.sent_rows import HEAD, packed, words_of


def test_rows_go_to_their_ranks_with_the_columns_that_are_read() -> None:
    layer = np.arange(20, dtype=np.float32).reshape(5, 4)
    number, in_weight = 2**33 + np.arange(5), np.linspace(0, 1, 5, dtype=np.float32)
    rows, to = np.array([1, 4, 1]), np.array([0, 0, 3])
    sent = packed("rows", layer, slice(1, 3), rows, to, number, in_weight, 4)
    assert [part.size for part in sent.parts] == [2, 0, 0, 1]
    records = np.concatenate(sent.parts)
    np.testing.assert_array_equal(records["number"], number[rows])
    np.testing.assert_array_equal(records["in_weight"], in_weight[rows])
    np.testing.assert_array_equal(records["values"], layer[rows, 1:3])
    np.testing.assert_array_equal(words_of(records)[:, HEAD:], layer[rows, 1:3])


def test_no_rows() -> None:
    nothing, layer = np.empty(0, np.int64), np.empty((0, 4), np.float32)
    sent = packed("rows", layer, slice(None), nothing, nothing, nothing, np.empty(0, np.float32), 2)
    assert [(part.size, words_of(part).shape) for part in sent.parts] == [(0, (0, HEAD + 4))] * 2
