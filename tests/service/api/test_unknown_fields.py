"""Bodies with fields that nobody knows: refused by every route, with what to use instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from service.api.app import create_app
from service.settings import Settings
from tests.service.api.serving import assert_problem

_DOCUMENT = create_app(Settings()).openapi()


def _bodies() -> dict[tuple[str, str], Mapping[str, Any]]:
    """The example of the JSON object that each route takes, by method and path."""
    found = {}
    for path, methods in _DOCUMENT["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            # Events are the only body that is an array, and have a rule of their own.
            if isinstance(content.get("example"), Mapping):
                found[method, path] = content["example"]
    return found


BODIES = _bodies()


def test_these_routes_take_an_object() -> None:
    assert set(BODIES) == {
        ("post", "/predict"),
        ("post", "/predict/edge"),
        ("post", "/embeddings"),
        ("post", "/what-if"),
        ("put", "/schema"),
        ("put", "/clock"),
        ("put", "/versions/pinned"),
    }


@pytest.mark.parametrize(("method", "path"), sorted(BODIES))
class TestEveryRoute:
    def test_an_unknown_field_is_refused_by_its_name(self, api: httpx.Client, method: str, path: str) -> None:
        answer = api.request(method, path, json={**BODIES[method, path], "colour": 1})
        body = assert_problem(answer, 422, "invalid-request")
        assert body["errors"][0]["field"] == "colour"  # type: ignore[index]
        assert next(iter(BODIES[method, path])) in str(body["detail"])

    def test_a_misspelt_field_is_named_rightly(self, api: httpx.Client, method: str, path: str) -> None:
        right = next(iter(BODIES[method, path]))
        answer = api.request(method, path, json={**BODIES[method, path], right + "x": 1})
        assert f"did you mean {right}?" in str(assert_problem(answer, 422, "invalid-request")["detail"])

    def test_a_parameter_of_the_address_is_told_so(self, api: httpx.Client, method: str, path: str) -> None:
        parameters = [
            each["name"] for each in _DOCUMENT["paths"][path][method].get("parameters", []) if each["in"] == "query"
        ]
        for name in parameters:
            answer = api.request(method, path, json={**BODIES[method, path], name: "5-0"})
            detail = str(assert_problem(answer, 422, "invalid-request")["detail"])
            assert f"is a parameter of the address, not of the body: {method.upper()} {path}?{name}=" in detail

    def test_a_client_is_told_by_the_document(self, api: httpx.Client, method: str, path: str) -> None:
        schema = _DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
        name = schema.get("$ref", "").rpartition("/")[2]
        assert _DOCUMENT["components"]["schemas"].get(name, schema)["additionalProperties"] is False


def test_a_field_of_an_edge_is_named_by_its_place(api: httpx.Client) -> None:
    edges = [{"src": "a", "dst": "b"}, {"src": "a", "dst": "b", "features": [1.0]}]
    body = assert_problem(api.post("/predict/edge", json={"edges": edges}), 422, "invalid-request")
    assert body["errors"] == [
        {"field": "edges[1].features", "message": "is unknown here: what may be given is src, dst, id, type, weight, x"}
    ]


@pytest.mark.parametrize("path", ["/predict", "/embeddings"])
def test_names_that_are_long_many_or_look_like_a_place_are_answered_shortly(api: httpx.Client, path: str) -> None:
    for fields in (
        {"y" * 1_000_000: 1},
        {str(number): 1 for number in range(50_000)},
        {"x` - at `$.foo": 1},
        {"x` - at `$.nodes[0]": 1},
        {"": 1},
    ):
        answer = api.post(path, json={**fields, "nodes": ["a"]})
        assert_problem(answer, 422, "invalid-request")
        assert len(answer.content) < 50_000


def test_fields_of_the_protocol_are_known_and_others_refused(api: httpx.Client, graph: str) -> None:
    node = {"name": "node", "shape": [1], "datatype": "BYTES", "data": ["1"]}
    known = {
        "inputs": [{**node, "parameters": {"content_type": "str"}}],
        "outputs": [{"name": "label", "parameters": {"binary_data": False}}],
        "parameters": {"binary_data_output": False},
    }
    # There is no model yet.
    assert api.post(f"/v2/models/{graph}/infer", json=known).status_code == 503
    for wrong in (
        {**known, "min_position": "5-0"},
        {**known, "inputs": [{**node, "labels": []}]},
        {**known, "outputs": [{"name": "label", "top": 3}]},
    ):
        refused = api.post(f"/v2/models/{graph}/infer", json=wrong)
        assert refused.status_code == 400
        assert "unknown field" in refused.json()["error"]
