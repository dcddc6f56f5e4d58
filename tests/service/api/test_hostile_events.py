"""What docs/events.md specifies for unusual events, against the real API."""

from __future__ import annotations

import ast
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

ROOT = Path(__file__).parents[3]
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
    "a number too small for float32": (node(id="1", x="[1e-300]"), [UpsertNode("1", x=[0.0])]),
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


API = "tests/service/api"
CORE = "tests/olad_core"
CLOCK = f"{CORE}/graph/test_clock.py"
STORE = f"{CORE}/graph/test_store.py"
VERSIONS = f"{CORE}/serving/test_version_schedule.py::TestVersions"
ELSEWHERE = {
    "no event ever had a `ts`": f"{CLOCK}::test_a_graph_that_never_had_a_ts_lives_by_the_times_of_arrival",
    "some events have a `ts`, others none": (
        f"{CLOCK}::test_within_a_batch_the_latest_time_is_that_of_the_events_before"
    ),
    "a removal": f"{STORE}::test_removals_do_not_move_the_clock",
    "the first `ts` of a graph that used times of arrival": (
        f"{CLOCK}::test_what_came_before_the_first_ts_happened_at_it"
    ),
    "a `ts` far ahead of the latest time": f"{CLOCK}::test_a_declared_bound_is_kept_to_in_the_unit_of_ts",
    "a clock that must be set back, or forward": (
        "tests/service/test_clock.py::test_the_clock_is_set_back_by_an_entry_of_the_log"
    ),
    "a clock of Redis that jumps ahead and back": f"{CLOCK}::test_after_a_jump_forth_and_back_times_of_arrival_go_on",
    "edges have no lifetime": f"{CLOCK}::test_streams_that_are_meant_are_believed",
    "edges have a lifetime": f"{CLOCK}::test_a_ts_that_cannot_be_meant_is_rejected",
    "edges have a lifetime, and the latest time is 0 or less, or the `ts` is the first": (
        f"{CLOCK}::test_the_first_ts_is_believed_unless_it_is_no_time_in_any_unit"
    ),
    "a million events": f"{API}/test_hostile_events.py::test_a_million_events_are_refused_and_not_listed_one_by_one",
    "an event above 2 MiB": f"{CORE}/test_event_pieces.py::test_an_event_without_end_is_not_decoded",
    "another width of features than the graph's": f"{API}/test_events.py::test_a_held_width_refuses_another",
    "an `upsert_node` of another type than the node has": (
        "tests/olad_core/graph/test_types_of_nodes.py::test_every_batch_does_what_its_events_do_one_by_one"
    ),
    "a type that is not declared": f"{API}/test_schema.py::TestTypesOfEdges::test_events_are_held_to_them",
    "an edge with an id in a type without ids, or the reverse": (
        f"{API}/test_schema.py::TestIdsOfEdges::test_events_are_held_to_them"
    ),
    "an id of an edge that is there, with other ends": (
        f"{CORE}/graph/test_relations.py::TestEdgesWithIds"
        "::test_an_upsert_of_an_id_updates_that_edge_and_moves_it_to_other_ends"
    ),
    "an edge to a node that was removed": f"{STORE}::test_a_late_edge_does_not_bring_a_removed_node_back",
    "an edge to a node that was removed long ago": (
        f"{STORE}::TestRemovedIdsAreBounded::test_the_last_ones_are_remembered"
    ),
    "a label never seen before": (f"{VERSIONS}::test_a_class_never_seen_before_is_in_the_next_version"),
    "a label beyond `OLAD_MAX_CLASSES` classes (1,000)": (
        f"{API}/test_schema.py::test_ten_thousand_new_labels_are_refused"
    ),
    "a second declaration of a width": f"{API}/test_schema.py::test_a_width_can_be_taken_back_until_features_come",
    "the same label twice": f"{STORE}::test_labels_are_told_in_the_order_of_their_last_event",
    "a compressed body (`Content-Encoding`)": (
        f"{API}/test_hostile_events.py::test_compressed_bodies_are_refused_unread"
    ),
    "another media type": f"{API}/test_events.py::TestRefusals::test_other_content_types",
    "a body above 16 MiB": f"{API}/test_events.py::TestRefusals::test_too_many_bytes",
    "more bodies at once than `OLAD_MAX_IN_FLIGHT_MB`": (
        f"{API}/test_in_flight.py::TestBodies::test_declared_lengths_are_counted_before_anything_is_read"
    ),
    "a body that is not complete within `OLAD_READ_TIMEOUT_S`": (
        f"{API}/test_protocol.py::TestSlowClients::test_one_that_never_ends_its_body_is_told"
    ),
    "a head that is not complete within it, or a connection without a request": (
        f"{API}/test_protocol.py::TestSlowClients::test_one_that_never_ends_its_head_is_let_go"
    ),
    "a head above 64 KiB": f"{API}/test_protocol.py::TestTalkativeClients::test_a_head_without_end_is_refused",
    "what is not HTTP, two lengths, a length and chunks": (
        f"{API}/test_framing.py::TestRefusals::test_is_told_and_nothing_after_it_is_read"
    ),
    "a client that leaves in the middle": (
        f"{API}/test_app.py::TestErrors::test_a_client_that_leaves_in_the_middle_does_no_harm"
    ),
    "a client that reads no answer, or has vanished": (
        f"{API}/test_protocol.py::test_the_kernel_ends_a_connection_whose_client_takes_nothing_or_has_vanished"
    ),
    "the same `Idempotency-Key` and body within 24 hours": (
        f"{API}/test_events.py::TestIdempotency::test_the_same_key_answers_the_same_and_is_applied_once"
    ),
    "the same `Idempotency-Key` under another API key": (
        f"{API}/test_events.py::TestIdempotency::test_each_api_key_has_its_own"
    ),
    "the same `Idempotency-Key`, another body": f"{API}/test_events.py::TestIdempotency::test_another_body_is_refused",
    "a value of a node whose type has no task": (
        f"{API}/test_predict_node_value.py::test_a_value_without_a_task_is_refused"
    ),
    "Redis near its limit of memory": f"{API}/test_events.py::test_a_full_redis_refuses_events_with_429",
    "Redis unreachable": f"{API}/test_status.py::TestHealth::test_without_redis",
}
"""Cases of the page that other tests are about."""


def documented() -> list[str]:
    """The cases of the page: the first cell of each row below a table's head."""
    text = (ROOT / "docs" / "events.md").read_text().partition("## Unusual cases")[2]
    tables = re.findall(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n?)+)", text, flags=re.MULTILINE)
    return [row.split("|")[1].strip() for table in tables for row in table.splitlines()]


def test_every_case_is_documented_and_every_documented_case_is_a_test() -> None:
    page = documented()
    assert len(page) == len(set(page))
    tested = [*REFUSED, *ACCEPTED, *ELSEWHERE]
    assert len(tested) == len(set(tested))
    assert set(page) == set(tested)


@pytest.mark.parametrize("case", sorted(ELSEWHERE))
def test_the_test_of_a_documented_case_is_there(case: str) -> None:
    path, *names = ELSEWHERE[case].split("::")
    body = ast.parse((ROOT / path).read_text()).body
    for name in names:
        found = [part for part in body if isinstance(part, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
        (named,) = [part for part in found if part.name == name]
        body = named.body
    assert names[-1].startswith("test_")
