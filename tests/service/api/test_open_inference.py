"""The Open Inference Protocol v2, by the requests that its specification prints."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import redis

from service.api.access import scope_needed
from service.api.routes.open_inference import MAX_NODES
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.service.publications import publication


@pytest.fixture
def served(writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    redis_client.set(keys.appended, 9)
    writer.publish(publication("5-0", {"1": [0.25, 0.75], "b": [1.0, 0.0]}, applied=7, version=3))
    return writer


def asked(nodes: list[Any], **more: Any) -> dict[str, Any]:
    datatype = "INT64" if nodes and isinstance(nodes[0], int) else "BYTES"
    return {"inputs": [{"name": "node", "shape": [len(nodes)], "datatype": datatype, "data": nodes}], **more}


def test_metadata_and_health(api: httpx.Client, served: PredictionWriter, graph: str) -> None:
    assert api.get("/v2").json()["name"] == "olad"
    for path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{graph}/ready"):
        assert api.get(path).status_code == 200
    model = api.get(f"/v2/models/{graph}").json()
    assert (model["name"], model["versions"]) == (graph, ["3"])
    assert model["inputs"] == [{"name": "node", "datatype": "BYTES", "shape": [-1]}]
    assert [(each["name"], each["datatype"], each["shape"]) for each in model["outputs"]] == [
        ("label", "BYTES", [-1]),
        ("probabilities", "FP32", [-1, 2]),
        ("error", "BYTES", [-1]),
    ]
    assert model["outputs"][1]["parameters"] == {"classes": ["a", "b"]}


def test_nothing_is_ready_before_the_first_model(api: httpx.Client, graph: str) -> None:
    assert api.get("/v2/health/live").status_code == 200
    assert api.get("/v2/health/ready").status_code == 400
    assert api.get(f"/v2/models/{graph}/ready").status_code == 400
    refused = api.post(f"/v2/models/{graph}/infer", json=asked(["1"]))
    assert refused.status_code == 503
    assert set(refused.json()) == {"error"}


def test_an_inference(api: httpx.Client, served: PredictionWriter, graph: str) -> None:
    answer = api.post(f"/v2/models/{graph}/infer", json=asked(["b", "nobody", "1"], id="42"))
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "id": "42",
        "model_name": graph,
        "model_version": "3",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [3], "data": ["a", "", "b"]},
            {"name": "probabilities", "datatype": "FP32", "shape": [3, 2], "data": [1.0, 0.0, 0.0, 0.0, 0.25, 0.75]},
            {"name": "error", "datatype": "BYTES", "shape": [3], "data": ["", "not-found", ""]},
        ],
        "parameters": {"student": "sage", "position": "5-0", "behind": 2},
    }


def test_only_the_outputs_that_are_asked_for(api: httpx.Client, served: PredictionWriter, graph: str) -> None:
    answer = api.post(f"/v2/models/{graph}/infer", json=asked([1], outputs=[{"name": "label"}])).json()
    assert answer["outputs"] == [{"name": "label", "datatype": "BYTES", "shape": [1], "data": ["b"]}]
    assert "id" not in answer
    nested = {"inputs": [{"name": "node", "shape": [1, 1], "datatype": "BYTES", "data": [["b"]]}]}
    assert api.post(f"/v2/models/{graph}/infer", json=nested).json()["outputs"][0]["data"] == ["a"]


def test_a_position_is_waited_for(api: httpx.Client, served: PredictionWriter, graph: str) -> None:
    waiting = asked(["1"], parameters={"min_position": "9-0", "timeout_ms": 1})
    late = api.post(f"/v2/models/{graph}/infer", json=waiting)
    assert late.status_code == 504
    assert "9-0" in late.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": []}, 400, "one input is needed"),
        ({}, 400, "inputs"),
        ({"inputs": [{"name": "node", "shape": [2], "datatype": "BYTES", "data": ["1"]}]}, 400, "write [1]"),
        ({"inputs": [{"name": "node", "shape": [1], "datatype": "FP32", "data": [1.0]}]}, 400, "not FP32"),
        (asked([""]), 400, "not empty"),
        (asked([True]), 400, "a text or an integer"),
        (asked(["1"], outputs=[{"name": "embedding"}]), 400, "embedding"),
        (asked(["1"] * (MAX_NODES + 1)), 413, "POST /predict takes more"),
    ],
)
def test_a_wrong_request_is_named_in_the_form_of_the_protocol(
    api: httpx.Client, served: PredictionWriter, graph: str, body: dict[str, Any], status: int, message: str
) -> None:
    refused = api.post(f"/v2/models/{graph}/infer", json=body)
    assert refused.status_code == status
    assert set(refused.json()) == {"error"}
    assert message in refused.json()["error"]


def test_another_model_and_binary_tensors_are_refused(api: httpx.Client, served: PredictionWriter, graph: str) -> None:
    for path in ("", "/ready"):
        unknown = api.get(f"/v2/models/other{path}")
        assert unknown.status_code == 404
        assert graph in unknown.json()["error"]
    binary = api.post(f"/v2/models/{graph}/infer", content=b"{}", headers={"Inference-Header-Content-Length": "2"})
    assert binary.status_code == 400
    assert "as JSON" in binary.json()["error"]


def test_it_is_read_with_a_key_for_reading() -> None:
    assert scope_needed("POST", "/v2/models/default/infer") == "read"
    assert scope_needed("GET", "/v2/models/default") == "read"
    assert scope_needed("GET", "/v2/health/live") is None
    assert scope_needed("GET", "/v2/health/ready") is None
