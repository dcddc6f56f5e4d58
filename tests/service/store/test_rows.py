from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.rows import BYTES_PER_VALUE, RowDecoder, classes_in, encode_rows

SHARES = st.floats(0, 1, width=32)


@given(st.lists(SHARES, min_size=1, max_size=9), SHARES)
def test_what_is_written_is_read(probabilities: list[float], disagreement: float) -> None:
    (row,) = encode_rows(np.array([probabilities], np.float32), np.array([disagreement], np.float32))
    decoder = RowDecoder(len(probabilities))
    found = decoder.decode(row.tobytes())
    assert (list(found.classes), found.probabilities) == ([*range(len(probabilities))], probabilities)
    assert found.disagreement == disagreement
    assert decoder.size == row.nbytes == BYTES_PER_VALUE * (len(probabilities) + 1)
    assert classes_in(row.nbytes) == len(probabilities)


def test_the_likeliest_classes_come_first_and_ties_in_their_order() -> None:
    rows = encode_rows(np.array([[0.25, 0.125, 0.375, 0.25]], np.float32), np.array([0.5], np.float32))
    found = RowDecoder(4).decode_top(rows.tobytes(), 3)
    assert (found.classes, found.probabilities, found.disagreement) == ([2, 0, 3], [0.375, 0.25, 0.25], 0.5)


def test_the_bytes_are_those_of_format_2() -> None:
    rows = encode_rows(np.array([[1.0, 0.0]], np.float32), np.array([0.5], np.float32))
    assert rows.tobytes() == bytes.fromhex("0000803f000000000000003f")


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(Exception, match="requires a buffer"):
        RowDecoder(3).decode(b"\x00" * 12)
