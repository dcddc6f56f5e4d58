from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olad_core.serving.publication import RowOrigins, TableUpdate
from service.store.positions import PositionPair
from service.store.rows import BYTES_PER_VALUE, WholeRowDecoder, classes_in, encode_rows, graph_rows, origin, values_of

SHARES = st.floats(0, 1, width=32)
POSITIONS = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
COUNTS = st.integers(0, 2**64 - 1)


def update(
    probabilities: list[list[float]], disagreement: list[float], rows: list[int], origins: RowOrigins | None = None
) -> TableUpdate:
    nodes = tuple(map(str, rows))
    values, differing = np.array(probabilities, np.float32), np.array(disagreement, np.float32)
    return TableUpdate(1, nodes, values, differing, rows=np.array(rows), origins=origins)


@given(st.lists(SHARES, min_size=1, max_size=9), SHARES, st.integers(0, 2**32 - 1), POSITIONS, COUNTS)
def test_what_is_written_is_read(
    probabilities: list[float], disagreement: float, row: int, position: PositionPair, applied: int
) -> None:
    (stored,) = encode_rows(update([probabilities], [disagreement], [row]), position, applied)
    decoder = WholeRowDecoder(len(probabilities))
    found = decoder.decode(stored.tobytes())
    assert (list(found.classes), found.probabilities) == ([*range(len(probabilities))], probabilities)
    assert found.disagreement == disagreement
    assert decoder.size == stored.nbytes == 24 + BYTES_PER_VALUE * (len(probabilities) + 1)
    assert classes_in(stored.nbytes) == len(probabilities)
    assert origin(stored.tobytes()) == (position, applied)
    assert graph_rows([stored.tobytes()]).tolist() == [row]


@given(st.lists(st.tuples(POSITIONS, COUNTS), max_size=5))
def test_each_row_has_the_origin_that_is_given(origins: list[tuple[PositionPair, int]]) -> None:
    given = RowOrigins(
        np.array([position[0] for position, _ in origins], np.uint64),
        np.array([position[1] for position, _ in origins], np.uint32),
        np.array([applied for _, applied in origins], np.uint64),
    )
    count = len(origins)
    shares = np.zeros((count, 1)).tolist()
    whole = replace(update(shares, [0.0] * count, [*range(count)]), probabilities=np.zeros((count, 1), np.float32))
    rows = encode_rows(replace(whole, origins=given), (5, 5), 5)
    assert [origin(row.tobytes()) for row in rows] == origins


def test_the_likeliest_classes_come_first_and_ties_in_their_order() -> None:
    (row,) = encode_rows(update([[0.25, 0.125, 0.375, 0.25]], [0.5], [0]), (1, 0), 1)
    found = WholeRowDecoder(4).decode_top(row.tobytes(), 3)
    assert (found.classes, found.probabilities, found.disagreement) == ([2, 0, 3], [0.375, 0.25, 0.25], 0.5)


def test_the_bytes_are_those_of_format_3() -> None:
    (row,) = encode_rows(update([[1.0, 0.0]], [0.5], [258]), (3, 2), 1)
    head = "02010000 02000000 0300000000000000 0100000000000000"
    assert row.tobytes() == bytes.fromhex(f"{head} 0000803f 00000000 0000003f")
    assert values_of(row.tobytes()) == bytes.fromhex("0000803f 00000000 0000003f")


def test_columns_that_do_not_fit_each_other_are_refused() -> None:
    one = RowOrigins(np.zeros(1, np.uint64), np.zeros(1, np.uint32), np.zeros(1, np.uint64))
    two = update([[1.0], [1.0]], [0.5, 0.5], [0, 1])
    wrong = (
        replace(two, origins=one),
        replace(two, rows=np.arange(1)),
        replace(two, disagreement=two.disagreement[:1]),
    )
    for broken in wrong:
        with pytest.raises(ValueError, match="2 rows of probabilities"):
            encode_rows(broken, (1, 0), 1)


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(Exception, match="requires a buffer"):
        WholeRowDecoder(3).decode(b"\x00" * 36)
