"""Segments: what is written is what is read, and damage is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.archive.segment import DamagedSegment, Span, decode, encode, span_of

raw_entries = st.lists(
    st.tuples(st.integers(1, 2**64 - 1), st.lists(st.binary(max_size=30), min_size=2, max_size=6)),
    min_size=1,
    max_size=8,
    unique_by=lambda entry: entry[0],
).map(lambda found: [(f"{at}-{at % 3}".encode(), fields) for at, fields in sorted(found)])


@given(raw_entries)
def test_a_segment_is_read_as_it_was_written_and_the_same_entries_give_the_same_bytes(
    entries: list[tuple[bytes, list[bytes]]],
) -> None:
    name, content = encode("g", "0-0", entries, {})
    assert encode("g", "0-0", entries, {}) == (name, content)
    segment = decode(name, content)
    assert segment.entries == entries
    assert (segment.header.first, segment.header.last) == (entries[0][0].decode(), entries[-1][0].decode())
    span = span_of(name)
    assert span is not None
    assert span.name == name


def test_the_header_counts_events_and_has_the_times_of_arrival_and_the_entries_set_aside() -> None:
    entries = [(b"5-0", [b"events", b"...", b"n", b"3", b"at", b"7000"]), (b"6-0", [b"schema", b"{}"])]
    header = decode(*encode("g", "1-0", entries, {"5-0": "a bug", "9-0": "another"})).header
    assert (header.entries, header.events, header.arrivals) == (2, 3, (7.0, 0.006))
    assert header.skipped == {"5-0": "a bug"}


@given(st.data())
def test_a_segment_with_any_byte_changed_or_cut_off_is_damaged(data: st.DataObject) -> None:
    name, content = encode("g", "0-0", [(b"5-0", [b"events", b"abcdef", b"n", b"3"])], {})
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        broken = content[:at]
    else:
        broken = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    with pytest.raises(DamagedSegment):
        decode(name, broken)


def test_a_renamed_segment_is_damaged() -> None:
    _, content = encode("g", "0-0", [(b"5-0", [b"n", b"3"])], {})
    with pytest.raises(DamagedSegment, match="renamed"):
        decode(Span((0, 0), (6, 0)).name, content)


@pytest.mark.parametrize("name", ["1-0_1-0.segment", "2-0_1-0.segment", "01-0_2-0.segment", "x", ".0-0_1-0.segment"])
def test_other_names_are_no_segments(name: str) -> None:
    assert span_of(name) is None
