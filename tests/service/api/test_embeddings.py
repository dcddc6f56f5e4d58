"""Embeddings over HTTP, as JSON and as an Arrow stream, from a worker that goes on applying events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow.ipc
import pytest

from olad_core.serving.node_embeddings import node_embeddings
from service.api import embedding_answers
from service.api.arrow import ARROW
from service.store.questions import EmbeddingsAnswered
from service.worker import questions
from tests.service.api.answering import AnsweringWorker
from tests.service.api.serving import assert_problem


def posted(api: httpx.Client, nodes: list[Any], query: str = "", **headers: str) -> httpx.Response:
    answer = api.post(f"/embeddings?{query}", json={"nodes": nodes}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def expected(worker: AnsweringWorker, nodes: list[str]) -> tuple[str, np.ndarray[Any, Any]]:
    engine = worker.lane.engine
    assert engine.versions.served is not None
    found = node_embeddings(engine.graph, engine.versions.served, nodes, 10**6)
    return found.student, found.vectors


def test_one_node_is_embedded_as_after_what_was_sent(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    before = api.get("/embeddings/7").json()
    events = [
        {"op": "upsert_node", "id": "a/b c", "x": [1.0, -2.0, 0.5]},
        {"op": "upsert_edge", "src": "a/b c", "dst": 7},
    ]
    position = api.post("/events", json=events).json()["position"]
    found = api.get(f"/embeddings/7?min_position={position}&timeout_ms=60000").json()
    student, vectors = expected(answering_worker, ["7", "a/b c"])
    assert found["embedding"] == vectors[0].tolist() != before["embedding"]
    assert (found["node"], found["position"], found["behind"], found["student"]) == ("7", position, 0, student)
    assert found["model_version"] == api.get("/predict/7").json()["model_version"]
    assert api.get("/embeddings/a%2Fb%20c").json()["embedding"] == vectors[1].tolist()
    assert (
        answering_worker.metrics.registry.get_sample_value("olad_worker_stage_seconds_count", {"stage": "embeddings"})
        == 3
    )


def test_many_nodes_are_embedded_in_parts(
    api: httpx.Client, answering_worker: AnsweringWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = ["7", 3, "nobody", *map(str, range(40)), 3]
    whole = posted(api, nodes).json()["embeddings"]
    _, vectors = expected(answering_worker, [str(node) for node in nodes])
    assert [each["node"] for each in whole] == nodes
    for each, vector in zip(whole, vectors, strict=True):
        if each["node"] == "nobody":
            assert (each["embedding"], each["error"]) == (None, "not-found")
        else:
            assert "error" not in each
            np.testing.assert_allclose(each["embedding"], vector, rtol=1e-5, atol=1e-7)
    monkeypatch.setattr(embedding_answers, "_NODES_AT_ONCE", 9)
    for small, large in zip(posted(api, nodes).json()["embeddings"], whole, strict=True):
        np.testing.assert_allclose(small.pop("embedding") or 0, large.pop("embedding") or 0, rtol=1e-5, atol=1e-7)
        assert small == large


def test_the_arrow_stream_has_what_the_json_has(api: httpx.Client, answering_worker: AnsweringWorker) -> None:
    nodes = ["7", "nobody", 3]
    answer = posted(api, nodes, accept=ARROW)
    assert answer.headers["content-type"] == ARROW
    table = pyarrow.ipc.open_stream(answer.content).read_all()
    table.validate(full=True)
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    made_by = {"student": about["student"], "model_version": int(about["model_version"])}
    for row, each in zip(table.to_pylist(), posted(api, nodes).json()["embeddings"], strict=True):
        assert row | made_by == {"error": None} | each | {"node": str(each["node"])}


def test_it_begins_again_where_other_weights_are_served_meanwhile(
    api: httpx.Client, answering_worker: AnsweringWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of the weights is another one from the second question on."""
    embedded, asked = questions._embedded, []

    def renewed(*args: Any) -> tuple[EmbeddingsAnswered, int]:
        answer, work = embedded(*args)
        assert isinstance(answer, EmbeddingsAnswered)
        asked.append(answer.there)
        return msgspec.structs.replace(answer, table=answer.table + (len(asked) > 1)), work

    monkeypatch.setattr(questions, "_embedded", renewed)
    monkeypatch.setattr(embedding_answers, "_NODES_AT_ONCE", 2)
    assert [each["node"] for each in posted(api, [1, 2, 3]).json()["embeddings"]] == [1, 2, 3]
    assert [len(there) for there in asked] == [2, 1, 2, 1]


def test_what_cannot_be_embedded(
    api: httpx.Client, answering_worker: AnsweringWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = assert_problem(api.get("/embeddings/nobody"), 404, "unknown-node")
    assert body["behind"] == 0
    for path in ("/embeddings/", "/embeddings/%ff", "/embeddings/7?min_position=x"):
        assert_problem(api.get(path), 422, "invalid-request")
    for nodes in ([], [""], ["x"] * 1_001, [1.5], "7"):
        assert_problem(api.post("/embeddings", json={"nodes": nodes}), 422, "invalid-request")
    engine = answering_worker.lane.engine
    monkeypatch.setattr(engine, "config", replace(engine.config, most_read=3))
    assert assert_problem(api.get("/embeddings/7"), 413, "too-large")["most"] == 3
    assert_problem(api.post("/embeddings", json={"nodes": [7, 8]}), 413, "too-large")
