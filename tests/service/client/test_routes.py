"""Both clients against the real API on a real Redis."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import redis

from olad_core.events import Event, GraphSchema, LabelNode, SparseFeatures, UpsertEdge, UpsertNode
from service import problems
from service.api.app import create_app
from service.client import (
    AsyncClient,
    Client,
    IdempotencyKeyReused,
    InvalidBatch,
    InvalidRequest,
    NoModel,
    NotKept,
    NotReady,
    PositionNotReached,
    Refused,
    SchemaConflict,
    TooLarge,
    UnknownNode,
    calls,
)
from service.client.calls import Wait
from service.client.errors import ProblemDetails, class_of
from service.settings import Settings
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from tests.service.client.conftest import Connect
from tests.service.publications import publication

EXAMPLES = (
    calls.append([], None),
    calls.rejected(1, None),
    calls.predict_one("n", Wait(), None, None),
    calls.predict_edge("a", "b", None, "paid", 1.0, Wait()),
    calls.top_edges("a", "paid", 1, Wait()),
    calls.predict_edges([{"src": "a", "dst": "b"}], Wait()),
    calls.stream(None, [], [], [], [], None),
    calls.explain("n", 1, Wait()),
    calls.explain_edge("a", "b", None, "paid", 1.0, 1, Wait()),
    calls.neighbours("n", 1, Wait()),
    calls.key(),
    calls.predict(["n"], Wait(), None),
    calls.predict_arrow(["n"], Wait(), None),
    calls.predict_link("a", "b", "edge", Wait()),
    calls.links("n", 1, "edge", False, Wait()),
    calls.embedding("n", Wait()),
    calls.embeddings(["n"], Wait()),
    calls.embeddings_arrow(["n"], Wait()),
    calls.top("a", 1, False, Wait()),
    calls.nodes("changed", 1, False, Wait(), ""),
    calls.what_if([], ["n"], Wait()),
    calls.schema(),
    calls.declare(GraphSchema()),
    calls.set_clock(None),
    calls.students(None),
    calls.versions(None),
    calls.variants(),
    calls.promote("wide", None),
    calls.remove_variant("wide"),
    calls.model_card(1, None),
    calls.pin(1, None),
    calls.unpin(None),
    calls.roll_back(None),
    calls.status(None),
    calls.history(0.0, 1, None),
    calls.live(),
    calls.ready(),
    calls.predicting(),
    calls.metrics(),
)


@pytest.fixture
def client(url: str, connect: Connect) -> Client:
    return connect(url, patience_s=10)


@pytest.fixture
def impatient(url: str, connect: Connect) -> Client:
    return connect(url, patience_s=0)


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    return writer


def _methods(of: type) -> dict[str, Any]:
    return {name: found for name, found in inspect.getmembers(of, inspect.isfunction) if not name.startswith("_")}


def test_every_route_of_the_api_has_a_call() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    served = {(method.upper(), path) for path, operations in paths.items() for method in operations}

    def template(path: str) -> str:
        if path in paths:
            return path
        found: str
        (found,) = (each for each in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each), path))
        return found

    called = {(call.method, template(call.path)) for call in EXAMPLES}
    assert called <= served
    assert served - called == set()


def test_both_clients_have_the_same_methods() -> None:
    blocking, awaited = _methods(Client), _methods(AsyncClient)
    assert set(blocking) == set(awaited)
    assert set(blocking) >= {name for name, found in inspect.getmembers(calls, inspect.isfunction) if _is_call(found)}
    for name, method in blocking.items():
        other = awaited[name]
        if name == "stream":
            assert inspect.isasyncgenfunction(other)
            assert inspect.signature(method).parameters == inspect.signature(other).parameters
            continue
        assert inspect.iscoroutinefunction(other), name
        assert inspect.signature(method) == inspect.signature(other), name
        assert method.__annotations__ == other.__annotations__, name


def _is_call(function: Any) -> bool:
    return str(inspect.signature(function).return_annotation).startswith("Call[") and function.__name__[0] != "_"


def test_every_problem_has_a_class_that_the_caller_can_act_on() -> None:
    kinds = [kind for kind in vars(problems).values() if isinstance(kind, problems.Kind)]
    classes = {kind.name: class_of(ProblemDetails(kind.name, kind.status, "")) for kind in kinds}
    # What is left is the mistake of a program or of an operator.
    assert {name for name, found in classes.items() if found is Refused} == {
        "bad-request",
        "host-not-allowed",
        "internal",
        "method-not-allowed",
        "not-found",
        "not-implemented",
        "origin-not-allowed",
        "partitioned",
        "too-slow",
        "unsupported-media-type",
    }


class TestEvents:
    def test_a_batch_is_appended_as_it_was_made(self, client: Client, redis_client: redis.Redis, keys: Keys) -> None:
        client.declare(GraphSchema(feature_width=3))
        events: list[Event] = [
            UpsertNode(id="a", x=SparseFeatures([0], [1.5]), label="red", ts=1.0),
            UpsertNode(id=7),
            UpsertEdge(src="a", dst=7, weight=2.0),
            LabelNode(id=7, label="blue"),
        ]
        done = client.append(events)
        assert done.accepted == 4
        (entry,) = [each for each in LogReader(redis_client, keys).read("0-0", max_events=10) if each.events]
        assert entry.position == done.position == client.status().log.position
        assert [type(event) for event in entry.events] == [type(event) for event in events]

    def test_the_same_key_again_appends_nothing(self, client: Client) -> None:
        first = client.append([UpsertNode(id="a")], key="k")
        assert client.send(b'[{"op":"upsert_node","id":"a"}]', key="k") == first
        assert client.status().log.appended_events == 1
        with pytest.raises(IdempotencyKeyReused, match="use a new key") as refused:
            client.append([UpsertNode(id="b")], key="k")
        assert refused.value.problem.members["position"] == first.position

    def test_invalid_events_are_listed(self, client: Client) -> None:
        with pytest.raises(InvalidBatch, match="answered 422") as refused:
            client.append([UpsertNode(id="a"), UpsertEdge(src="a", dst="b", weight=-1.0)])
        (error,) = refused.value.problem.errors
        assert (error["index"], error["field"]) == (1, "weight")
        assert client.status().log.position is None

    def test_a_batch_with_too_many_events_is_refused(self, client: Client) -> None:
        with pytest.raises(TooLarge, match="smaller parts"):
            client.append([UpsertNode(id="a")] * 10_001)

    def test_nothing_is_rejected_before_a_worker_comes(self, client: Client) -> None:
        page = client.rejected(limit=5)
        assert (page.rejected, page.total) == ([], 0)
        with pytest.raises(InvalidRequest, match="next"):
            client.rejected(after="nowhere")

    def test_lines_are_sent_as_they_are_written(self, client: Client) -> None:
        lines = b'{"op":"upsert_node","id":"a"}\n{"op":"upsert_node","id":"b"}\n'
        assert client.send(lines, "application/x-ndjson").accepted == 2


class TestReading:
    def test_before_the_first_model_reads_end_at_once(self, client: Client) -> None:
        for read in (
            lambda: client.predict(["n"]),
            lambda: client.predict_one("n"),
            lambda: client.predict_arrow(["n"]),
            lambda: client.top("a"),
            lambda: client.nodes("arrived"),
        ):
            with pytest.raises(NoModel, match="missing"):
                read()
        with pytest.raises(NotReady, match="a published model"):
            client.predicting()

    def test_one_node_and_many(self, client: Client, writer: PredictionWriter) -> None:
        position = client.append([UpsertNode(id=name) for name in ("p/1 ?", "q")]).position
        writer.publish(publication(position, {"p/1 ?": (0.25, 0.75), "q": (1.0, 0.0)}, applied=2))
        one = client.predict_one("p/1 ?")
        assert (one.label, one.position, one.behind) == ("b", position, 0)
        assert one.probabilities == {"a": 0.25, "b": 0.75}
        assert client.predict_one("q", top=1).probabilities == {"a": 1.0}
        many = client.predict(["q", "nobody", "p/1 ?"])
        assert [answer.label for answer in many] == ["a", None, "b"]
        assert many[1].error == "not-found"
        assert client.predict_arrow(["q"])[:4] == b"\xff\xff\xff\xff"
        assert client.predicting().predicting
        with pytest.raises(NotKept, match="OLAD_HISTORY_ROWS"):
            client.predict_one("q", at=position)
        with pytest.raises(UnknownNode, match="'nobody' is not in the graph"):
            client.predict_one("nobody")

    def test_a_position_that_is_not_reached_is_named(self, impatient: Client, writer: PredictionWriter) -> None:
        writer.publish(publication("0-1", {"a": (0.25, 0.75)}))
        impatient.append([UpsertNode(id="a")])
        with pytest.raises(PositionNotReached, match=r"answered 504: .*read without min_position") as refused:
            impatient.predict(["a"])
        assert refused.value.problem.members["position"] == "0-1"
        assert impatient.predict(["a"], min_position="0-1")[0].label == "b"

    def test_the_state_of_the_service(self, client: Client) -> None:
        assert client.live().live
        assert client.ready().ready
        assert client.status().worker is None
        assert client.students().students == []
        assert client.history(points=1).samples == []
        assert "olad_" in client.metrics()


class TestSchema:
    def test_what_is_declared_is_held(self, client: Client) -> None:
        assert client.schema().feature_width is None
        assert client.declare(GraphSchema(feature_width=3, classes=("a",))).feature_width == 3
        client.append([UpsertNode(id="n", x=[1.0, 2.0, 3.0])])
        assert client.schema().classes == ("a",)
        with pytest.raises(SchemaConflict):
            client.declare(GraphSchema(feature_width=4))

    def test_the_clock_is_a_write(self, client: Client) -> None:
        assert client.set_clock(12.0).position == client.position == client.status().log.position
