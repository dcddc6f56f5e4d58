"""What docs/events.md promises about odd events, at the door of the real API."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
import redis

from olad_core.events import MAX_EVENTS, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from service.store.keys import Keys
from service.store.log_reader import LogReader
from tests.service.api.serving import assert_problem

JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def reader(redis_client: redis.Redis, keys: Keys) -> LogReader:
    return LogReader(redis_client, keys)


def node(**fields: str) -> bytes:
    """An upsert_node of raw JSON values."""
    written = "".join(f', "{name}": {value}' for name, value in fields.items())
    return f'[{{"op": "upsert_node"{written}}}]'.encode()


REFUSED = {
    "not a number": (node(id="1", x="[NaN]"), ""),
    "infinity": (node(id="1", x="[-Infinity]"), ""),
    "a number beyond float64": (node(id="1", x="[1e400]"), "x[0]"),
    "a number beyond float32": (node(id="1", x="[1e39]"), "x"),
    "a number of 5,000 digits": (node(id="1", x=f"[{'9' * 5000}]"), "x[0]"),
    "an id of 5,000 digits": (node(id="9" * 5000), "id"),
    "an id of 300 bytes": (node(id=f'"{"é" * 150}"'), "id"),
    "an empty id": (node(id='""'), "id"),
    "an empty label": (node(id="1", label='""'), "label"),
    "a fractional id": (node(id="1.5"), "id"),
    "a lone surrogate": (node(id='"\\ud800"'), ""),
    "surrogates the wrong way round": (node(id='"\\udc00\\ud800"'), ""),
    "bytes that are no UTF-8": (node(id='"?"').replace(b"?", b"\xff"), ""),
    "UTF-8 of a surrogate": (node(id='"?"').replace(b"?", b"\xed\xa0\x80"), ""),
    "a control character as it is": (node(id='"?"').replace(b"?", b"\x01"), ""),
    "a byte order mark": (b"\xef\xbb\xbf" + node(id="1"), ""),
    "a time beyond 1e30": (node(id="1", ts="1e308"), "ts"),
    "a weight of nothing": (b'[{"op": "upsert_edge", "src": 1, "dst": 2, "weight": -0.0}]', "weight"),
    "a negative weight": (b'[{"op": "upsert_edge", "src": 1, "dst": 2, "weight": -1}]', "weight"),
    "no features at all": (node(id="1", x="[]"), "x"),
    "a million features": (node(id="1", x=f"[{','.join(['0'] * 1_000_000)}]"), "x"),
    "a field nobody knows": (node(id="1", colour='"red"'), "colour"),
    "nesting without end": (b'[{"op": "upsert_node", "id": 1, "x": ' + b"[" * 500_000, ""),
    "nesting that ends": (node(id="1", x="[" * 5000 + "]" * 5000), ""),
    "objects inside objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_with_the_place(api: httpx.Client, redis_client: redis.Redis, keys: Keys, name: str) -> None:
    body, field = REFUSED[name]
    problem = assert_problem(api.post("/events", content=body, headers=JSON), 422, "invalid-events")
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert {error["field"] for error in errors} == {field}
    assert len(json.dumps(problem)) < 5_000
    assert not redis_client.exists(keys.log)


ACCEPTED = {
    "negative zero": (node(id="-0", x="[-0.0]", ts="-0.0"), [UpsertNode("0", x=[-0.0], ts=-0.0)]),
    "a number too small for float32": (node(id="1", x="[1e-300]"), [UpsertNode("1", x=[1e-300])]),
    "control characters, written out": (node(id='"a\\u0000\\u001b[2J"'), [UpsertNode("a\0\x1b[2J")]),
    "any other text": (node(id='" \\u2028\\ud83d\\ude00é"'), [UpsertNode(" \u2028\U0001f600é")]),
    "duplicate keys": (node(id='1, "id": 2'), [UpsertNode("2")]),
    "null": (node(id="1", x="null", label="null", ts="null"), [UpsertNode("1")]),
    "a self-loop": (b'[{"op": "upsert_edge", "src": 1, "dst": "1"}]', [UpsertEdge("1", "1")]),
    "parallel edges": (b'[{"op": "upsert_edge", "src": 1, "dst": 2}, {"op": "upsert_edge", "src": 2, "dst": 1}]',
                       [UpsertEdge("1", "2"), UpsertEdge("2", "1")]),
    "deletes of what is not there": (
        b'[{"op": "remove_node", "id": "never"}, {"op": "remove_edge", "src": "never", "dst": "ever"}]',
        [RemoveNode("never"), RemoveEdge("never", "ever")],
    ),
    "a label for an unknown node": (b'[{"op": "label", "id": "never", "label": 1}]', [LabelNode("never", "1")]),
    "times that go back": (
        b'[{"op": "label", "id": 1, "label": 1, "ts": 5}, {"op": "label", "id": 1, "label": 1, "ts": -1e30}]',
        [LabelNode("1", "1", 5.0), LabelNode("1", "1", -1e30)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_accepted_as_it_stands(api: httpx.Client, reader: LogReader, name: str) -> None:
    body, events = ACCEPTED[name]
    assert api.post("/events", content=body, headers=JSON).status_code == 202
    (entry,) = reader.read("0-0", max_events=9)
    assert entry.events == events
    assert repr(entry.events) == repr(events)  # -0.0 equals 0.0


def test_a_million_events_are_refused_and_not_listed_one_by_one(api: httpx.Client) -> None:
    wrong = b"[" + b",".join([b"1"] * 1_000_000) + b"]"
    problem = assert_problem(api.post("/events", content=wrong, headers=JSON), 422, "invalid-events")
    assert isinstance(problem["errors"], list)
    assert len(problem["errors"]) == 100
    right = b'{"op":"remove_node","id":1}\n' * (MAX_EVENTS + 1)
    assert_problem(api.post("/events", content=right, headers=NDJSON), 413, "too-large")


def test_other_bodies_that_are_deeply_nested_or_hold_huge_numbers(api: httpx.Client) -> None:
    for value in ("[" * 100_000, "[" * 5000 + "]" * 5000, '{"a":' * 50_000, "9" * 5000, "1e400", '"\\ud800"', "NaN"):
        for method, path, body in (
            ("POST", "/predict", f'{{"nodes": [{value}]}}'),
            ("POST", "/predict", f'{{"nodes": {value}}}'),
            ("PUT", "/schema", f'{{"feature_width": {value}}}'),
            ("PUT", "/schema", f'{{"classes": [{value}]}}'),
            ("PUT", "/schema", f'{{"edge_lifetime": {value}}}'),
        ):
            answer = api.request(method, path, content=body, headers=JSON)
            assert_problem(answer, 422, "invalid-request")
            assert len(answer.content) < 20_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"])
def test_compressed_bodies_are_refused_unread(api: httpx.Client, coding: str) -> None:
    bomb = b"\x1f\x8b" + b"\0" * 2**16
    answer = api.post("/events", content=bomb, headers={**JSON, "content-encoding": coding})
    assert_problem(answer, 415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "identity"


def test_an_id_of_control_characters_can_be_asked_for(api: httpx.Client) -> None:
    answer = api.get("/predict/a%00%1b%0d%0aX-Evil:%201")
    assert answer.status_code in {404, 503}
    assert "x-evil" not in answer.headers
    assert_problem(api.get("/predict/%ed%a0%80"), 422, "invalid-request")


def test_every_case_above_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
    documented = set(re.findall(r"^\| ([^|]+?) \|", page, flags=re.MULTILINE))
    assert (set(REFUSED) | set(ACCEPTED)) - documented == set()
