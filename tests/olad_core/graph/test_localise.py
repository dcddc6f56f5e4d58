"""Numbering rows, against plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olad_core.graph.localise import Localiser

CAPACITY = 40
ROWS = st.lists(st.integers(0, CAPACITY - 1), max_size=60).map(lambda rows: np.array(rows, np.int64))


@given(ROWS)
def test_rows_are_distinct_in_the_order_in_which_they_are_met(index: np.ndarray) -> None:
    localiser = Localiser()
    for _ in range(2):  # The second time finds what the first has left behind.
        assert localiser.distinct(index, CAPACITY).tolist() == list(dict.fromkeys(index.tolist()))


@given(ROWS, ROWS)
def test_distinct_targets_are_numbered_first(targets: np.ndarray, index: np.ndarray) -> None:
    targets = np.unique(targets)
    rows, numbers = Localiser()(targets, index, CAPACITY)
    assert rows.tolist() == list(dict.fromkeys([*targets.tolist(), *index.tolist()]))
    assert rows[numbers].tolist() == index.tolist()
