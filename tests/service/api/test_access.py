from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from olad_core.events import GraphSchema, UpsertNode
from service.api.access import scope_needed
from service.api.app import create_app
from service.api_keys import SCOPES, create_key, revoke_key
from service.client.errors import ServiceError
from service.client.http import Client
from service.settings import Settings
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem, serving
from tests.service.api.test_app import ROUTES

OPEN = {("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/health/predicting")}
WRITE = {("POST", "/events")}
ADMIN = {
    ("PUT", "/schema"),
    ("PUT", "/clock"),
    ("PUT", "/versions/pinned"),
    ("DELETE", "/versions/pinned"),
    ("POST", "/versions/rollback"),
    ("POST", "/variants/{name}/promote"),
    ("DELETE", "/variants/{name}"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "api-keys.json"


@pytest.fixture(scope="module")
def made(file: Path) -> dict[str, str]:
    """A key for each scope."""
    return {scope: create_key(file, f"the-{scope}", [scope]) for scope in SCOPES}


@pytest.fixture
def guarded(redis_server: RedisServer, graph: str, file: Path, made: dict[str, str]) -> Iterator[httpx.Client]:
    with serving(redis_server.url, graph, api_keys_file=file) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_every_route_needs_the_scope_that_is_written_down() -> None:
    needed = {(method.upper(), path): scope_needed(method.upper(), path) for method, path in ROUTES}
    assert {route for route, scope in needed.items() if scope is None} == OPEN
    assert {route for route, scope in needed.items() if scope == "write"} == WRITE
    assert {route for route, scope in needed.items() if scope == "admin"} == ADMIN
    # A route that is not known yet is closed.
    assert scope_needed("POST", "/versions/3/activate") == "admin"
    assert scope_needed("DELETE", "/predict/a") == "admin"


def test_each_key_opens_its_own_doors(guarded: httpx.Client, made: dict[str, str]) -> None:
    for method, path in sorted(ROUTES):
        url = path.replace("{node}", "a")
        needed = scope_needed(method.upper(), url)
        for scope, key in made.items():
            answer = guarded.request(method, url, headers=bearer(key))
            if needed in {None, scope} or scope == "admin":
                assert answer.status_code not in {401, 403}, (method, url, scope)
            else:
                body = assert_problem(answer, 403, "forbidden")
                assert f'error="insufficient_scope", scope="{needed}"' in answer.headers["www-authenticate"]
                assert f"the-{scope}" in str(body["detail"])


def test_without_a_key_only_what_is_open(guarded: httpx.Client) -> None:
    for method, path in sorted(ROUTES):
        answer = guarded.request(method, path.replace("{node}", "a"))
        if (method.upper(), path) in OPEN:
            assert answer.status_code in {200, 503}
        else:
            assert_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == 'Bearer realm="olad"'
    for page in ("/", "/docs", "/openapi.json", "/assets/main.js"):
        assert guarded.get(page).status_code == 200
    # Whether an address exists is nobody's business either.
    assert_problem(guarded.get("/nowhere"), 401, "unauthenticated")


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer olad_000000000000_" + "A" * 43, "Bearer \xff"]
)
def test_what_is_no_key_of_ours(guarded: httpx.Client, shown: str) -> None:
    answer = guarded.get("/status", headers={b"authorization": shown.encode("latin-1")})
    assert_problem(answer, 401, "unauthenticated")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_the_scheme_may_be_written_in_any_case(guarded: httpx.Client, made: dict[str, str]) -> None:
    assert guarded.get("/status", headers={"authorization": f"bEARER  {made['read']}"}).status_code == 200


def test_a_refused_body_is_not_read(guarded: httpx.Client, made: dict[str, str], redis_server: RedisServer) -> None:
    events = [{"op": "upsert_node", "id": "a"}]
    assert_problem(guarded.post("/events", json=events, headers=bearer(made["read"])), 403, "forbidden")
    status = guarded.get("/status", headers=bearer(made["read"])).json()
    assert status["log"]["entries"] == 0


def test_a_revoked_key_is_refused_by_the_running_api(
    redis_server: RedisServer, graph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api_keys._LOOK_EVERY_S", 0.0)
    file = tmp_path / "keys.json"
    key = create_key(file, "a", ["read"])
    with serving(redis_server.url, graph, api_keys_file=file) as client:
        assert client.get("/status", headers=bearer(key)).status_code == 200
        revoke_key(file, "a")
        assert client.get("/status", headers=bearer(key)).status_code == 401


class TestClient:
    def test_shows_its_key(self, guarded: httpx.Client, made: dict[str, str], keys: Keys) -> None:
        with Client(str(guarded.base_url), key=made["admin"]) as client:
            client.declare(GraphSchema(feature_width=3))
            position = client.append([UpsertNode("a")], key="key-1").position
            assert client.status().log.position == position

    @pytest.mark.parametrize("scope", [None, "write"])
    def test_says_at_once_that_it_may_not(self, guarded: httpx.Client, made: dict[str, str], scope: str | None) -> None:
        key = made[scope] if scope else None
        with Client(str(guarded.base_url), key=key) as client, pytest.raises(ServiceError, match="OLAD_API_KEY"):
            client.status()


class TestDocument:
    def test_names_the_scope_of_every_operation(self, file: Path, made: dict[str, str]) -> None:
        document = create_app(Settings(api_keys_file=file)).openapi()
        (name,) = document["components"]["securitySchemes"]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                scope = scope_needed(method.upper(), path)
                # A scheme of bearer tokens lists no scopes in OpenAPI.
                assert operation["security"] == ([{name: []}] if scope else [])
                assert operation.get("x-scope") == scope
                assert scope is None or f"`{scope}`" in operation["description"]
                assert {"400", "429", "431"} <= set(operation["responses"])
                assert ("401" in operation["responses"]) == (scope is not None)

    def test_makes_keys_optional_where_they_are(self) -> None:
        document = create_app(Settings()).openapi()
        assert document["paths"]["/status"]["get"]["security"][-1] == {}


def test_a_prediction_needs_reading_only(
    redis_server: RedisServer, graph: str, file: Path, made: dict[str, str], writer: PredictionWriter
) -> None:
    with serving(redis_server.url, graph, api_keys_file=file) as client:
        answer = client.post("/predict", json={"nodes": ["a"]}, headers=bearer(made["read"]))
        assert_problem(answer, 503, "no-model")
