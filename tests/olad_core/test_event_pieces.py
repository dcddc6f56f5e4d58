from __future__ import annotations

import functools
import json
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olad_core import event_pieces
from olad_core.event_codec import decode_json, decode_ndjson, encode_log
from olad_core.event_pieces import PIECE_BYTES, TooManyEvents, json_pieces, log_pieces, ndjson_pieces
from olad_core.events import Event, EventProblem, InvalidEvents

_T = TypeVar("_T")

EVENTS: list[dict[str, Any]] = [
    {"op": "upsert_node", "id": "},{", "x": [0.5, 1, -2e3], "label": '"}],[{"\\'},
    {"op": "upsert_node", "id": 5, "x": {"indices": [0, 2], "values": [1.0, 2.0]}},
    {"op": "upsert_edge", "src": "a\\", "dst": '\\"},{', "weight": 2.5, "ts": 7},
    {"op": "remove_node", "id": "節點 \u2028 } , {"},
    {"op": "label", "id": "a", "label": "b"},
]


def drained(steps: Generator[None, None, _T]) -> tuple[_T, int]:
    """What a generator returns, and how often it let others do something."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value, count
        count += 1


def pieced(body: bytes) -> list[Event]:
    return drained(json_pieces(body))[0]


def outcome(decoded: Callable[[], list[Event]]) -> list[Event] | tuple[EventProblem, ...]:
    try:
        result = decoded()
    except InvalidEvents as error:
        return error.problems
    return result


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces so small that a few events are several."""
    monkeypatch.setattr(event_pieces, "PIECE_BYTES", 60)


@pytest.mark.usefixtures("small_pieces")
class TestSmallPieces:
    @given(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=30), st.sampled_from([None, 1, 2]))
    def test_json_comes_to_the_same_as_in_one_piece(self, events: list[dict[str, Any]], indent: int | None) -> None:
        body = json.dumps(events, indent=indent, ensure_ascii=indent == 1).encode()
        assert drained(json_pieces(body, 3))[0] == decode_json(body, 3)

    @given(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=30), st.sampled_from(["\n", "\r\n", "\n \n\n"]))
    def test_ndjson_comes_to_the_same_as_in_one_piece(self, events: list[dict[str, Any]], end: str) -> None:
        body = end.join(map(json.dumps, events)).encode()
        assert drained(ndjson_pieces(body, 3))[0] == decode_ndjson(body, 3)

    @given(
        st.lists(st.sampled_from([*EVENTS, {"op": "grow"}, {"op": "label", "id": "a"}, {"op": "label", "id": ["x"]}]),
                 min_size=8, max_size=30)
    )  # fmt: skip
    def test_what_is_wrong_has_the_same_place_and_name(self, events: list[dict[str, Any]]) -> None:
        body = json.dumps(events).encode()
        assert outcome(lambda: drained(json_pieces(body, 3))[0]) == outcome(lambda: decode_json(body, 3))
        lines = "\n".join(map(json.dumps, events)).encode()
        assert outcome(lambda: drained(ndjson_pieces(lines, 3))[0]) == outcome(lambda: decode_ndjson(lines, 3))

    @given(st.data())
    def test_what_is_no_json_is_never_taken(self, data: st.DataObject) -> None:
        body = bytearray(json.dumps(EVENTS * 3).encode())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(body) - 1))
            body[at : at + data.draw(st.integers(0, 3))] = data.draw(
                st.sampled_from([b"", b'"', b"},{", b"]", b"[", b"\\", b","])
            )
        sent = bytes(body)
        one, many = outcome(lambda: decode_json(sent, 3)), outcome(lambda: drained(json_pieces(sent, 3))[0])
        assert isinstance(one, tuple) == isinstance(many, tuple)
        if isinstance(one, list):
            assert one == many

    def test_the_width_of_the_first_features_holds_for_all(self) -> None:
        right = {"op": "upsert_node", "id": "a", "x": [1, 2]}
        wrong = {"op": "upsert_node", "id": "a", "x": [1, 2, 3]}
        sparse = {"op": "upsert_node", "id": "a", "x": {"indices": [0], "values": [1]}}
        for events in ([right] * 9 + [wrong], [right] * 9 + [sparse], [sparse] + [right] * 9):
            body = json.dumps(events).encode()
            found = outcome(functools.partial(pieced, body))
            assert found == outcome(functools.partial(decode_json, body))
            assert isinstance(found, tuple)

    def test_what_is_no_event_is_named_with_its_place(self) -> None:
        item = json.dumps(EVENTS[4])
        for wrong in ("5", '{"op": {"a": {"b": {"c": 1}}}}', "null", "[]"):
            body = ("[" + f"{item}," * 9 + f"{wrong},{item}]").encode()
            with pytest.raises(InvalidEvents) as refused:
                drained(json_pieces(body))
            assert refused.value.problems[0].index == 9

    def test_nothing(self) -> None:
        for body in (b"[" + b" " * 100 + b"]", b"{" + b" " * 100 + b"}", b" " * 200):
            assert isinstance(outcome(functools.partial(pieced, body)), tuple)
        with pytest.raises(InvalidEvents):
            drained(ndjson_pieces(b"\n" * 200))


def test_large_batches_are_cut_into_many_pieces() -> None:
    event = {"op": "upsert_edge", "src": "a" * 200, "dst": "b" * 200}
    events = [event] * 8_000
    batch, count = drained(json_pieces(json.dumps(events).encode()))
    assert (len(batch), count >= 40) == (8_000, True)
    assert drained(ndjson_pieces("\n".join(map(json.dumps, events)).encode()))[1] >= 40
    payload, count = drained(log_pieces(batch))
    assert payload == encode_log(batch)
    assert count >= 10
    for size in (0, 1, 15, 16, 501, 7_000):
        assert drained(log_pieces(batch[:size]))[0] == encode_log(batch[:size])


def test_a_million_events_are_not_decoded() -> None:
    item = b'{"op":"remove_node","id":1}'
    with pytest.raises(TooManyEvents):
        drained(json_pieces(b"[" + (item + b",") * 500_000 + item + b"]"))
    with pytest.raises(TooManyEvents):
        drained(ndjson_pieces((item + b"\n") * 500_000))
    with pytest.raises(InvalidEvents) as refused:
        drained(json_pieces(b"[" + b'{"op":"grow"},' * 500_000 + item + b"]"))
    assert len(refused.value.problems) == 10_001
    assert refused.value.problems[-1] == EventProblem(-1, "", "more than 10000 events")


def test_an_event_without_end_is_not_decoded() -> None:
    zeros = b'[{"op":"upsert_node","id":1,"x":[' + b"0," * 4_000_000 + b"0]}]"
    for body, decode in ((zeros, json_pieces), (zeros[1:-1], ndjson_pieces)):
        with pytest.raises(InvalidEvents, match="2,097,152"):
            drained(decode(body))
    assert len(zeros) > PIECE_BYTES
