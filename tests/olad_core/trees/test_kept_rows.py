"""Rows that are kept, against a plain list; a restored state goes on in the same way."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.trees.kept_rows import KeptRows

WIDTH = 2
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, limit=st.integers(1, 7), restored_at=st.integers(0, 40))
def test_the_newest_rows_are_kept_until_they_are_taken(
    steps: list[tuple[bool, int]], limit: int, restored_at: int
) -> None:
    kept = KeptRows(limit)
    model: list[tuple[int, bool]] = []  # key, and whether it is still there
    came = 0
    for number, (adds, count) in enumerate(steps):
        if number == restored_at:
            state = kept.state()
            kept = KeptRows(limit)
            kept.restore(state)
        keys = np.arange(came, came + count)
        if adds:
            kept.add(keys, np.repeat(keys[:, None], WIDTH, axis=1).astype(np.float32))
            model = [*model, *((key, True) for key in keys.tolist())][-limit:]
            came += count
        else:
            wanted = np.arange(max(0, came - 2 * count), came, 2)
            places, rows = kept.take(wanted)
            there = [key for key, is_there in model if is_there and key in wanted.tolist()]
            assert sorted(wanted[places].tolist()) == there
            assert rows.tolist() == [[key] * rows.shape[1] for key in wanted[places].tolist()]
            model = [(key, is_there and key not in there) for key, is_there in model]
        assert kept.in_order()[0].tolist() == [key for key, is_there in model if is_there]


def test_wider_rows_leave_place_for_fewer() -> None:
    kept = KeptRows(100, cells=6)
    kept.add(np.arange(3), np.ones((3, 2), np.float32))
    kept.add(np.array([3]), np.ones((1, 3), np.float32))
    keys, rows = kept.in_order()
    assert keys.tolist() == [2, 3]
    np.testing.assert_array_equal(rows, np.array([[1, 1, np.nan], [1, 1, 1]], np.float32))


@given(was=st.integers(1, 6), now=st.integers(1, 6), count=st.integers(0, 9))
def test_under_another_limit_the_newest_are_taken_over(was: int, now: int, count: int) -> None:
    before, after = KeptRows(was), KeptRows(now)
    for key in range(count):
        before.add(np.array([key]), np.full((1, WIDTH), key, np.float32))
    after.restore(before.state())
    assert after.in_order()[0].tolist() == list(range(count))[-min(was, now) :]
    after.add(np.array([50]), np.zeros((1, WIDTH), np.float32))
    assert after.in_order()[0].tolist() == [*range(count)[-was:], 50][-now:]
