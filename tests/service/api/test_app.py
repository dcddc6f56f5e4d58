from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.api.app import create_app
from service.settings import Settings
from tests.service.api.serving import assert_problem

ROUTES = {
    ("post", "/events"),
    ("get", "/events/rejected"),
    ("get", "/predict/{node}"),
    ("post", "/predict"),
    ("get", "/predict/edge"),
    ("post", "/predict/edge"),
    ("get", "/edges/top/{class_name}"),
    ("get", "/predict/link"),
    ("get", "/links/{node}"),
    ("get", "/embeddings/{node}"),
    ("post", "/embeddings"),
    ("post", "/what-if"),
    ("get", "/explain/{node}"),
    ("get", "/explain/edge"),
    ("get", "/neighbours/{node}"),
    ("get", "/top/{class_name}"),
    ("get", "/nodes"),
    ("get", "/stream"),
    ("get", "/schema"),
    ("put", "/clock"),
    ("put", "/schema"),
    ("get", "/students"),
    ("get", "/variants"),
    ("post", "/variants/{name}/promote"),
    ("delete", "/variants/{name}"),
    ("get", "/versions"),
    ("get", "/versions/{number}"),
    ("put", "/versions/pinned"),
    ("delete", "/versions/pinned"),
    ("post", "/versions/rollback"),
    ("get", "/status"),
    ("get", "/history"),
    ("get", "/key"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
    ("get", "/health/predicting"),
    ("get", "/metrics"),
}


class TestErrors:
    def test_no_such_address(self, api: httpx.Client) -> None:
        for path in ("/nowhere", "/assets/nothing.js", "/events/", "/schema/x"):
            assert_problem(api.get(path), 404, "not-found")

    def test_no_such_method(self, api: httpx.Client) -> None:
        answer = api.delete("/events")
        body = assert_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "POST"
        assert "DELETE /events" in str(body["detail"])

    async def test_an_exception_stays_inside(self) -> None:
        app = create_app(Settings(redis_url="redis://127.0.0.1:1/0"))

        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError("a secret")

        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/broken")
        assert_problem(answer, 500, "internal")
        assert "secret" not in answer.text

    def test_a_client_that_leaves_in_the_middle_does_no_harm(self, api: httpx.Client) -> None:
        with socket.create_connection((api.base_url.host, api.base_url.port or 80)) as connection:
            connection.sendall(
                b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n[{"
            )
        while 'status="400"' not in api.get("/metrics").text:
            pass
        assert api.get("/status").json()["log"]["entries"] == 0


def test_the_dashboard(api: httpx.Client) -> None:
    page = api.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<html" in page.text
    assert api.get("/assets/main.js").status_code == 200


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app: FastAPI = create_app(Settings())
    return app.openapi()


class TestOpenApi:
    def test_every_route_is_there(self, document: dict[str, Any]) -> None:
        assert {(method, path) for path, methods in document["paths"].items() for method in methods} == ROUTES

    @pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
    def test_every_route_is_documented(self, document: dict[str, Any], method: str, path: str) -> None:
        route = document["paths"][path][method]
        assert route["summary"]
        assert route["description"]
        assert route["tags"]
        answers = {int(status): answer for status, answer in route["responses"].items()}
        good = [answer for status, answer in answers.items() if status < 300]
        assert len(good) == 1
        for content in good[0]["content"].values():
            assert ("example" in content) != (content["schema"].get("format") == "binary")
        bad = [answer for status, answer in answers.items() if status >= 400]
        assert bad
        for answer in bad:
            assert set(answer["content"]) == {"application/problem+json"}
            assert answer["content"]["application/problem+json"]["examples"]
            assert answer["description"]
        for parameter in route.get("parameters", []):
            assert parameter["description"]
        for content in route.get("requestBody", {}).get("content", {}).values():
            assert "example" in content or "examples" in content

    def test_every_reference_leads_somewhere(self, document: dict[str, Any]) -> None:
        def references(part: object) -> set[str]:
            if isinstance(part, dict):
                own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
                return own.union(*(references(value) for value in part.values()))
            return set().union(*(references(item) for item in part)) if isinstance(part, list) else set()

        found = references(document)
        assert "#/components/schemas/UpsertEdge" in found
        for reference in found:
            assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]

    def test_the_framework_s_own_error_bodies_are_not_in_it(self, document: dict[str, Any]) -> None:
        assert "HTTPValidationError" not in str(document)

    def test_it_is_served(self, api: httpx.Client) -> None:
        assert api.get("/openapi.json").json()["openapi"].startswith("3.1")
        assert api.get("/docs").status_code == 200
