"""A batch of the log in columns is the batch that the decoder of MessagePack makes of it, whatever the bytes are."""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.event_codec import decode_log, encode_log
from olad_core.events import (
    MAX_ID_BYTES,
    MAX_WEIGHT,
    Event,
    LabelNode,
    RemoveEdge,
    RemoveNode,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
)
from olad_core.graph.event_columns import EventColumns, columns_of, columns_of_log
from olad_core.graph.log_walker import walk

floats = st.floats(width=32, allow_nan=False)
ids = st.text(min_size=1, max_size=20) | st.sampled_from(["x" * 31, "x" * 32, "ü" * 128, "\U00010000" * 64])
times = st.none() | st.floats(-1e30, 1e30)
kinds = st.none() | ids
dense = st.lists(floats, min_size=1, max_size=70)
sparse = st.dictionaries(st.sampled_from([0, 1, 127, 128, 255, 256, 65_535]) | st.integers(0, 65_535), floats).map(
    lambda entries: SparseFeatures(list(entries), list(entries.values()))
)
x = st.none() | dense | sparse
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(UpsertEdge, ids, ids, st.none() | st.floats(0, MAX_WEIGHT, exclude_min=True), times, kinds, kinds, x),
    st.builds(RemoveEdge, ids, ids, kinds),
    st.builds(RemoveEdge, st.none(), st.none(), kinds, ids),
    st.builds(UpsertNode, ids, st.none() | dense | sparse, st.none() | ids, times, kinds),
    st.builds(RemoveNode, ids),
    st.builds(LabelNode, ids, ids, times),
)


def assert_same(one: EventColumns, other: EventColumns) -> None:
    left, right = one.columns, other.columns
    assert len(one) == len(other)
    assert [one.text(place) for place in range(2 * len(one))] == [other.text(place) for place in range(2 * len(one))]
    assert [one.type_of(event) for event in range(len(one))] == [other.type_of(at) for at in range(len(one))]
    assert [one.edge_id_of(event) for event in range(len(one))] == [other.edge_id_of(at) for at in range(len(one))]
    for name in ("kind", "weight", "time", "form", "width"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    for at, width in enumerate(left.width.tolist()):
        mine = slice(left.first[at], left.first[at] + width)
        theirs = slice(right.first[at], right.first[at] + width)
        assert left.value[mine].tobytes() == right.value[theirs].tobytes()
        if left.form[at] == 2:
            assert left.place[mine].tolist() == right.place[theirs].tolist()


@settings(max_examples=300)
@given(st.lists(events, max_size=40))
def test_what_the_log_writer_writes_needs_no_decoder(batch: list[Event]) -> None:
    payload = encode_log(batch)
    found = columns_of_log(payload)
    assert walk(payload) is not None
    assert_same(found, columns_of(decode_log(payload)))
    assert found == batch
    assert repr(found) == repr(batch)


def replaced(payload: bytes, at: int, byte: int) -> bytes:
    return payload[:at] + bytes([byte]) + payload[at + 1 :]


@settings(max_examples=1500)
@given(st.lists(events, min_size=1, max_size=4), st.data())
def test_other_bytes_are_taken_only_where_the_decoder_takes_them(batch: list[Event], data: st.DataObject) -> None:
    payload = encode_log(batch)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(payload) - 1)))
        change: Callable[[], bytes] = data.draw(
            st.sampled_from(
                [
                    lambda: replaced(payload, at, data.draw(st.integers(0, 255))),  # noqa: B023
                    lambda: payload[:at],  # noqa: B023
                    lambda: payload[:at] + data.draw(st.binary(max_size=3)) + payload[at:],  # noqa: B023
                ]
            )
        )
        payload = change()
    columns = walk(payload)
    if columns is not None:
        assert_same(EventColumns(columns, payload), columns_of(decode_log(payload)))


def packed(**fields: object) -> bytes:
    return msgspec.msgpack.encode([fields])


UNUSUAL: dict[str, bytes] = {
    "a number as id": packed(op="remove_node", id=5),
    "null": packed(op="upsert_edge", src="a", dst="b", weight=None),
    "a whole number as weight": packed(op="upsert_edge", src="a", dst="b", weight=2),
    "features as a list": packed(op="upsert_node", id="a", x=[1.0, 2]),
    "the tag last": packed(id="a", op="remove_node"),
    "a label that is a number": packed(op="label", id="a", label=7),
    "sparse values as a list": packed(op="upsert_node", id="a", x={"indices": [1], "values": [2.0]}),
    "null as a type": packed(op="remove_edge", src="a", dst="b", type=None),
    "a long id": packed(op="remove_node", id="ü" * MAX_ID_BYTES),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_forms_that_the_log_writer_does_not_write_are_decoded(name: str) -> None:
    found = columns_of_log(UNUSUAL[name])
    assert found == decode_log(UNUSUAL[name])
    assert_same(found, columns_of(decode_log(UNUSUAL[name])))


WRONG: dict[str, bytes] = {
    "nothing": b"",
    "no array": msgspec.msgpack.encode({"op": "remove_node", "id": "a"}),
    "an unknown tag": packed(op="remove_nodes", id="a"),
    "an unknown field": packed(op="remove_node", id="a", ts=1.0),
    "a type of a node": packed(op="remove_node", id="a", type="b"),
    "an empty type": packed(op="remove_edge", src="a", dst="b", type=""),
    "no id": packed(op="remove_node"),
    "an empty id": packed(op="remove_node", id=""),
    "a weight of 0": packed(op="upsert_edge", src="a", dst="b", weight=0.0),
    "a weight beyond the greatest": packed(op="upsert_edge", src="a", dst="b", weight=1e16),
    "a time beyond the last": packed(op="label", id="a", label="b", ts=1.1e30),
    "bytes after the end": packed(op="remove_node", id="a") + b"\0",
    "a header for more events than there are bytes": b"\xdd\xff\xff\xff\xff",
    "a surrogate": b"\x91\x82\xa2op\xabremove_node\xa2id\xa3\xed\xa0\x80",
    "a form of a character that is too long": b"\x91\x82\xa2op\xabremove_node\xa2id\xa2\xc1\x81",
    "a time that is no number": packed(op="label", id="a", label="b", ts=1.0)[:-8] + struct.pack(">d", np.nan),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_as_the_decoder_refuses_it(name: str) -> None:
    with pytest.raises((msgspec.MsgspecError, ValueError)) as expected:
        decode_log(WRONG[name])
    with pytest.raises(type(expected.value)) as found:
        columns_of_log(WRONG[name])
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("indices", "message"), [([1, 2], "2 indices but 1"), ([-1], "outside"), ([65_536], "outside")]
)
def test_sparse_features_that_no_vector_has_are_refused(indices: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        columns_of([UpsertNode("a", x=SparseFeatures(indices, [1.0]))])


def test_columns_are_taken_as_they_are() -> None:
    batch = columns_of([UpsertEdge("a", "b")])
    assert columns_of(batch) is batch
