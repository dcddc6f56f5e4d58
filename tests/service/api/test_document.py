"""The OpenAPI document: that its examples fit its schemas, and that generators of clients can use it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from olad_core.events import RejectedOp, RejectionReason
from olad_core.judging.decision_kinds import Kind
from service import problems
from service.api.app import create_app
from service.api.document.operations import OPERATIONS
from service.api_keys import create_key
from service.settings import Settings
from tests.service.api.test_app import ROUTES

Document = dict[str, Any]
NAMES = {
    ("post", "/events"): "appendEvents",
    ("get", "/events/rejected"): "getRejectedEvents",
    ("get", "/predict/{node}"): "predictNode",
    ("post", "/predict"): "predictNodes",
    ("get", "/predict/edge"): "predictEdge",
    ("post", "/predict/edge"): "predictEdges",
    ("get", "/edges/top/{class_name}"): "getTopEdges",
    ("get", "/predict/link"): "predictLink",
    ("get", "/links/{node}"): "listPartners",
    ("get", "/embeddings/{node}"): "embedNode",
    ("post", "/embeddings"): "embedNodes",
    ("post", "/what-if"): "whatIf",
    ("get", "/explain/{node}"): "explainNode",
    ("get", "/explain/edge"): "explainEdge",
    ("get", "/neighbours/{node}"): "getNeighbours",
    ("get", "/top/{class_name}"): "getTopNodes",
    ("get", "/nodes"): "listNodes",
    ("get", "/stream"): "streamChanges",
    ("get", "/schema"): "getSchema",
    ("put", "/schema"): "declareSchema",
    ("put", "/clock"): "setClock",
    ("get", "/students"): "getStudents",
    ("get", "/variants"): "getVariants",
    ("post", "/variants/{name}/promote"): "promoteVariant",
    ("delete", "/variants/{name}"): "removeVariant",
    ("get", "/versions"): "getVersions",
    ("get", "/versions/{number}"): "getVersion",
    ("put", "/versions/pinned"): "pinVersion",
    ("delete", "/versions/pinned"): "unpinVersion",
    ("post", "/versions/rollback"): "rollBack",
    ("get", "/status"): "getStatus",
    ("get", "/history"): "getHistory",
    ("get", "/key"): "getKey",
    ("get", "/health/live"): "getLive",
    ("get", "/health/ready"): "getReady",
    ("get", "/health/predicting"): "getPredicting",
    ("get", "/metrics"): "getMetrics",
}


@pytest.fixture(scope="module")
def document() -> Document:
    app: FastAPI = create_app(Settings())
    return app.openapi()


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def everything(part: object, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, with its place."""
    if isinstance(part, dict):
        yield place, part
        for name, value in part.items():
            if name not in {"example", "examples"}:
                yield from everything(value, f"{place}/{name}")
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from everything(value, f"{place}/{index}")


def schemas(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, part in everything(document):
        if "type" in part and isinstance(part["type"], str) and "scheme" not in part:
            yield place, part


def examples(document: Document) -> Iterator[tuple[str, object, Mapping[str, Any]]]:
    """Every example of the document with its place and its schema."""
    for place, part in everything(document):
        if "schema" in part:
            if "example" in part:
                yield f"{place}/example", part["example"], part["schema"]
            for name, example in part.get("examples", {}).items():
                yield f"{place}/examples/{name}", example["value"], part["schema"]
        elif isinstance(part.get("examples"), list):
            for index, example in enumerate(part["examples"]):
                yield f"{place}/examples/{index}", example, part


class TestExamples:
    def test_each_fits_its_schema(self, document: Document) -> None:
        found = list(examples(document))
        # A schema of the document knows the others by their names.
        misfits = []
        for place, example, schema in found:
            validator = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
            misfits += [f"{place}: {error.json_path} {error.message}" for error in validator.iter_errors(example)]
        assert misfits == []
        assert len(found) > 150

    def test_null_stays_in_them(self, document: Document) -> None:
        answer = document["paths"]["/status"]["get"]["responses"]["200"]["content"]["application/json"]
        assert answer["example"]["worker"]["candidate"] is None

    def test_those_of_problems_say_what_the_problem_says(self, document: Document) -> None:
        kinds = {kind.uri: kind for kind in vars(problems).values() if isinstance(kind, problems.Kind)}
        shown = set()
        for _, _, operation in operations(document):
            for status, answer in operation["responses"].items():
                for example in answer["content"].get("application/problem+json", {}).get("examples", {}).values():
                    value = example["value"]
                    assert str(value["status"]) == status
                    assert value["title"] == kinds[value["type"]].title
                    shown.add(value["type"])
        # These belong to addresses and methods that are not in the document.
        assert set(kinds) - shown == {problems.NOT_FOUND.uri, problems.METHOD_NOT_ALLOWED.uri}

    def test_a_request_in_it_is_accepted_by_the_api(self, document: Document, api: httpx.Client) -> None:
        sent = 0
        for method, path, operation in operations(document):
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                cases = content.get("examples", {"only": {"value": content.get("example")}})
                for case in cases.values():
                    if path in {"/predict", "/predict/edge", "/embeddings", "/what-if", "/schema", "/versions/pinned"}:
                        continue
                    headers = {"content-type": media_type}
                    body = {"content": case["value"]} if isinstance(case["value"], str) else {"json": case["value"]}
                    answer = api.request(method, path, headers=headers, **body)
                    assert answer.status_code == 202, answer.text
                    sent += 1
        assert sent == 4
        change = document["paths"]["/schema"]["put"]["requestBody"]["content"]["application/json"]["example"]
        assert api.put("/schema", json={**change, "feature_width": 3}).status_code == 200


class TestGenerators:
    def test_operations_have_names_that_read_well(self, document: Document) -> None:
        named = {(method, path): operation["operationId"] for method, path, operation in operations(document)}
        assert named == NAMES
        assert set(named) == ROUTES
        assert set(OPERATIONS) == set(NAMES.values())

    def test_no_type_has_the_name_of_one_of_its_fields(self, document: Document) -> None:
        """A generator gives both the same variable."""
        for name, schema in document["components"]["schemas"].items():
            assert re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() not in schema.get("properties", {})

    def test_no_field_has_a_default(self, document: Document) -> None:
        """A generator takes a field with a default for one that is always there."""
        for place, part in everything(document["components"]["schemas"]):
            assert "default" not in part, place

    def test_an_event_needs_only_what_it_must_have(self, document: Document) -> None:
        needed = {
            name: set(schema["required"]) - {"op"}
            for name, schema in document["components"]["schemas"].items()
            if "op" in schema.get("properties", {}) and name not in {"Rejected", "TriedRejection"}
        }
        assert needed == {
            "UpsertNode": {"id"},
            "RemoveNode": {"id"},
            "UpsertEdge": {"src", "dst"},
            "RemoveEdge": set(),
            "LabelNode": set(),
        }

    def test_a_change_of_the_schema_needs_nothing(self, document: Document) -> None:
        assert "required" not in document["components"]["schemas"]["SchemaChange"]

    def test_events_are_told_apart_by_op(self, document: Document) -> None:
        known = document["components"]["schemas"]
        event = known["Event"]
        assert event["discriminator"]["propertyName"] == "op"
        mapping = event["discriminator"]["mapping"]
        assert [{"$ref": reference} for reference in mapping.values()] == event["oneOf"]
        for op, reference in mapping.items():
            schema = known[reference.rpartition("/")[2]]
            assert schema["properties"]["op"] == {"type": "string", "const": op}
            assert schema["additionalProperties"] is False

    def test_answers_have_all_their_fields_except_those_that_are_left_out(self, document: Document) -> None:
        optional = {
            name: set(schema.get("properties", {})) - set(schema.get("required", ()))
            for name, schema in document["components"]["schemas"].items()
        }
        requests = {
            "SchemaChange",
            "ClassDecision",
            "EdgeType",
            "NodeType",
            "EdgeClassTask",
            "EdgeValueTask",
            "NodeValueTask",
            "LinkTask",
            "UpsertNode",
            "UpsertEdge",
            "RemoveEdge",
            "LabelNode",
            "EdgeNamed",
        }
        named = {"EdgeList", "EdgePredictions", "ExplainAnswer", "LinkPrediction", "NeighbourList", "NodeList"}
        named |= {"PartnerList", "WhatIfAnswer"}
        assert {name: fields for name, fields in optional.items() if fields and name not in requests} == {
            **{name: {"variant"} for name in named},
            "InvalidItem": {"index"},
            "EdgePrediction": {"src", "dst", "id", "variant"},
            "RankedEdge": {"id"},
            "EdgeValuePrediction": {"src", "dst", "id", "variant"},
            "EdgeValueOfMany": {"src", "dst", "id"},
            "EdgeOfMany": {"src", "dst", "id", "error", "task", "probabilities", "arrived", "model_version"}
            | {"at_arrival", "truth"},
            "NeighbourEdge": {"type", "label"},
            "NodeEmbedding": {"error", "variant"},
            "NodeValueOfMany": {"error", "task", "interval", "coverage", "at_arrival", "truth", "model_version"},
            "NodeValuePrediction": {"variant"},
            "NodeValues": {"variant"},
            "Prediction": {"marked", "rest", "variant"},
            "PredictionAnswer": {"probabilities", "rest", "disagreement", "error", "variant"},
            "ProblemDocument": {"errors", "total_errors", "position", "behind", "missing", "need", "most"},
            "ShownEffect": {"type", "label"},
            "ExplainEdgeAnswer": {"src", "dst", "id", "variant"},
            "ShownPart": {"end"},
            "EarlierLabel": {"id"},
            "TriedPrediction": {"probabilities", "rest", "disagreement", "error"},
        }

    def test_what_is_left_out_is_never_null(self, document: Document) -> None:
        for name in ("InvalidItem", "Prediction", "PredictionAnswer", "ProblemDocument"):
            schema = document["components"]["schemas"][name]
            for field in set(schema["properties"]) - set(schema["required"]):
                assert "null" not in str(schema["properties"][field]), field

    def test_no_parameter_is_null(self, document: Document) -> None:
        for _, path, operation in operations(document):
            for parameter in operation["parameters"]:
                for choice in parameter["schema"].get("anyOf", [parameter["schema"]]):
                    assert isinstance(choice["type"], str), (path, parameter["name"])
                    assert choice["type"] != "null", (path, parameter["name"])

    def test_numbers_have_a_format(self, document: Document) -> None:
        found = {"number": set(), "integer": set()}  # type: dict[str, set[str | None]]
        for _, part in schemas(document):
            if part["type"] in found:
                found[part["type"]].add(part.get("format"))
        assert found["number"] == {"double"}
        # An id that is an integer has as many digits as it likes.
        assert found["integer"] == {"int64", None}

    def test_texts_of_a_few_values_are_enumerations(self, document: Document) -> None:
        known = document["components"]["schemas"]

        def values(schema: str, field: str) -> list[str]:
            return known[schema]["properties"][field]["enum"]  # type: ignore[no-any-return]

        assert values("DecisionStatus", "kind") == [*get_args(Kind)]
        assert values("LearningStatus", "state") == ["learning", "resting"]
        assert values("Rejected", "op") == [*get_args(RejectedOp)]
        assert values("Rejected", "reason") == [*get_args(RejectionReason)]
        assert "urn:olad:problem:no-model" in values("ProblemDocument", "type")
        assert known["PredictionAnswer"]["properties"]["error"]["const"] == "not-found"

    def test_every_field_of_an_answer_says_what_it_is(self, document: Document) -> None:
        silent = [
            f"{name}.{field}"
            for name, schema in document["components"]["schemas"].items()
            for field, part in schema.get("properties", {}).items()
            if "description" not in str(part) and field != "op"
        ]
        assert silent == []

    def test_positions_have_a_pattern(self, document: Document) -> None:
        for place, part in everything(document["components"]["schemas"]):
            for field, schema in part.get("properties", {}).items():
                if field in {"position", "created_position", "oldest", "next"}:
                    assert "pattern" in str(schema), f"{place}/{field}"


class TestHeaders:
    def test_429_and_503_say_when_to_come_back(self, document: Document) -> None:
        for method, path, operation in operations(document):
            for status in ("429", "503"):
                if answer := operation["responses"].get(status):
                    assert answer["headers"]["Retry-After"]["required"], (method, path, status)
            assert "503" in operation["responses"]

    def test_a_request_s_id_may_be_sent_and_is_answered(self, document: Document) -> None:
        for _, _, operation in operations(document):
            (parameter,) = [one for one in operation["parameters"] if one["name"] == "X-Request-ID"]
            assert parameter["in"] == "header"
            for answer in operation["responses"].values():
                assert "X-Request-ID" in answer["headers"]

    def test_what_is_sent_is_documented(self, document: Document, api: httpx.Client) -> None:
        """Headers that belong to HTTP itself and to browsers are not."""
        unspecific = {"date", "server", "content-type", "content-length", "connection"}
        fences = re.compile(
            r"content-security-policy|x-content-type|x-frame|referrer-policy|cross-origin|cache-control"
        )
        for method, path, body in (
            ("get", "/status", b""),
            ("post", "/events", b"["),
            ("post", "/events", b'[{"op": "upsert_node", "id": 1}]'),
            ("get", "/predict/{node}", b""),
            ("put", "/clock", b"{}"),
        ):
            for kind in ("application/json", "text/plain"):
                answer = api.request(
                    method, path, content=body, headers={"content-type": kind, "Idempotency-Key": path}
                )
                documented = document["paths"][path][method]["responses"][str(answer.status_code)]["headers"]
                names = {name for name in answer.headers if name not in unspecific and not fences.match(name)}
                assert names <= {name.lower() for name in documented}, (path, kind)


class TestSecurity:
    @pytest.mark.parametrize("keys_needed", [True, False])
    def test_every_operation_says_whether_it_needs_a_key(self, tmp_path: Path, keys_needed: bool) -> None:
        keys = tmp_path / "keys.json" if keys_needed else None
        if keys is not None:
            create_key(keys, "test", ["read"])
        document = create_app(Settings(api_keys_file=keys)).openapi()
        (scheme,) = document["components"]["securitySchemes"]
        for method, path, operation in operations(document):
            if path.startswith("/health/"):
                assert operation["security"] == []
                assert "401" not in operation["responses"]
                continue
            assert operation["security"] == ([{scheme: []}] if keys_needed else [{scheme: []}, {}])
            scope = {
                "post /events": "write",
                "put /schema": "admin",
                "put /clock": "admin",
                "put /versions/pinned": "admin",
                "delete /versions/pinned": "admin",
                "post /versions/rollback": "admin",
                "post /variants/{name}/promote": "admin",
                "delete /variants/{name}": "admin",
            }
            assert f"`{scope.get(f'{method} {path}', 'read')}`" in operation["description"]
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]

    def test_the_rest_of_the_head(self, document: Document) -> None:
        assert document["servers"] == [{"url": "/", "description": document["servers"][0]["description"]}]
        assert document["info"]["license"]["identifier"] == "Apache-2.0"
        assert document["info"]["contact"]["name"]
        used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
        assert used == {tag["name"] for tag in document["tags"]}
