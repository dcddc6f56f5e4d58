"""DNS rebinding, foreign origins, CORS: what a web page on the same machine can do to a service without keys."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from service.api_keys import create_key
from service.settings import Settings
from tests.redis_server import RedisServer
from tests.service.api.raw import exchange
from tests.service.api.serving import assert_problem, serving

EVENTS = [{"op": "upsert_node", "id": "a"}]
APP = "https://app.example.org"


@pytest.fixture(scope="module")
def api(redis_server: RedisServer) -> Iterator[httpx.Client]:
    """Without keys and lists, as `olad up` starts it."""
    with serving(redis_server.url, f"test-{uuid.uuid4().hex}") as client:
        yield client


class TestHost:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "localhost:8000",
            "LocalHost:1",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:9",
            "127.0.0.2",
            "[::1]:80",
        ],
    )
    def test_this_machine_is_answered(self, api: httpx.Client, host: str) -> None:
        assert api.get("/status", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil-localhost",
            "xlocalhost:80",
            "127.0.0.1evil",
            "192.0.2.1",
            "[2001:db8::1]:80",
            "0.0.0.0:8000",
            "169.254.169.254",
            "2130706433",
            "testserver",
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/status"), ("POST", "/events"), ("GET", "/"), ("HEAD", "/status"), ("OPTIONS", "/"), ("GET", "/no")],
    )
    def test_another_one_is_not(self, api: httpx.Client, host: str, method: str, path: str) -> None:
        answer = api.request(method, path, headers={"host": host})
        assert answer.status_code == 400
        if method != "HEAD":
            assert "OLAD_ALLOWED_HOSTS" in str(assert_problem(answer, 400, "host-not-allowed")["detail"])

    def test_nothing_is_written_for_another_one(self, api: httpx.Client) -> None:
        before = api.get("/status").json()["log"]["entries"]
        assert_problem(api.post("/events", json=EVENTS, headers={"host": "evil.example"}), 400, "host-not-allowed")
        assert api.get("/status").json()["log"]["entries"] == before

    def test_a_target_in_absolute_form_opens_nothing(self, api: httpx.Client) -> None:
        (answer,) = exchange(
            api, b"GET http://evil.example/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        )
        assert answer.problem == "host-not-allowed"

    def test_names_can_be_added(self, redis_server: RedisServer, graph: str) -> None:
        with serving(redis_server.url, graph, allowed_hosts="Graph.example.org, *.example.net") as client:
            for host in (
                "graph.example.org:443",
                "GRAPH.example.org.",
                "a.example.net",
                "a.b.example.net",
                "127.0.0.1",
            ):
                assert client.get("/schema", headers={"host": host}).status_code == 200
            for host in ("example.org", "a.graph.example.org", "example.net", "xexample.net", "evil.example"):
                assert_problem(client.get("/schema", headers={"host": host}), 400, "host-not-allowed")
        with serving(redis_server.url, graph, allowed_hosts="*") as client:
            assert client.get("/schema", headers={"host": "anything.example"}).status_code == 200

    def test_with_keys_any_host_is_answered_until_there_is_a_list(
        self, redis_server: RedisServer, graph: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "keys.json"
        shown = {"authorization": f"Bearer {create_key(file, 'a', ['admin'])}", "host": "graph.example.org"}
        with serving(redis_server.url, graph, api_keys_file=file) as client:
            assert client.get("/schema", headers=shown).status_code == 200
            assert client.get("/schema", headers=shown | {"origin": "https://evil.example"}).status_code == 200
            assert_problem(client.get("/schema", headers={"host": "evil.example"}), 401, "unauthenticated")
        with serving(redis_server.url, graph, api_keys_file=file, allowed_hosts="other.example.org") as client:
            assert_problem(client.get("/schema", headers=shown), 400, "host-not-allowed")

    @pytest.mark.parametrize("wrong", ["http://a.example", "a b", "*a.example", "a.*.example", "**"])
    def test_a_list_that_cannot_match_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValidationError, match="host name"):
            Settings(allowed_hosts=wrong)  # type: ignore[arg-type]

    def test_an_empty_list_is_none(self) -> None:
        assert Settings(allowed_hosts="", cors_origins="").allowed_hosts == ()  # type: ignore[arg-type]


class TestOrigin:
    @pytest.mark.parametrize(
        "origin",
        [
            "null",
            "https://evil.example",
            "http://localhost:1",
            "http://localhost",
            "http://evil.example@localhost",
            "file://",
            "",
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "/status"), ("POST", "/events"), ("PUT", "/schema"), ("OPTIONS", "/events")]
    )
    def test_a_foreign_one_is_refused(self, api: httpx.Client, origin: str, method: str, path: str) -> None:
        answer = api.request(method, path, headers={"origin": origin, "content-type": "text/plain"})
        assert_problem(answer, 403, "origin-not-allowed")
        assert "access-control-allow-origin" not in answer.headers

    def test_the_dashboards_own_is_not(self, api: httpx.Client) -> None:
        own = str(api.base_url).rstrip("/")
        headers = {"origin": own, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
        assert api.get("/status", headers=headers).status_code == 200
        assert api.post("/events", json=EVENTS, headers=headers).status_code == 202

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_nothing_is_loaded_into_other_sites_pages(self, api: httpx.Client, site: str) -> None:
        for mode, destination in (("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe"), ("cors", "")):
            headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": destination}
            assert_problem(api.get("/status", headers=headers), 403, "origin-not-allowed")

    def test_a_link_leads_to_the_dashboard(self, api: httpx.Client) -> None:
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert api.get("/", headers=headers).status_code == 200
        assert_problem(api.post("/events", json=EVENTS, headers=headers), 403, "origin-not-allowed")
        assert api.get("/", headers={"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}).status_code == 200


class TestCors:
    @pytest.mark.parametrize("with_keys", [False, True])
    def test_a_listed_origin_may_ask_and_reads_refusals(
        self, redis_server: RedisServer, graph: str, tmp_path: Path, *, with_keys: bool
    ) -> None:
        file, headers = None, {"origin": APP, "sec-fetch-site": "cross-site"}
        if with_keys:
            file = tmp_path / "keys.json"
            headers["authorization"] = f"Bearer {create_key(file, 'a', ['admin'])}"
        with serving(
            redis_server.url, graph, cors_origins=f"{APP},http://localhost:3000", api_keys_file=file
        ) as client:
            asked = {
                "origin": APP,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type,idempotency-key",
            }
            preflight = client.options("/events", headers=asked)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == APP
            assert "POST" in preflight.headers["access-control-allow-methods"]
            assert "access-control-allow-credentials" not in preflight.headers
            refused = client.options("/events", headers=asked | {"origin": "https://evil.example"})
            assert refused.status_code == 400
            assert "access-control-allow-origin" not in refused.headers
            answers = [
                client.post("/events", json=EVENTS, headers=headers),
                client.post("/events", json=[{"op": "?"}], headers=headers),
                client.get("/nowhere", headers=headers),
                client.get("/predict/a", headers=headers),
            ]
            assert [answer.status_code for answer in answers] == [202, 422, 404, 503]
            if with_keys:
                answers.append(client.get("/status", headers={"origin": APP}))
                assert_problem(answers[-1], 401, "unauthenticated")
            for answer in answers:
                assert answer.headers["access-control-allow-origin"] == APP
                assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
            foreign = client.get("/status", headers=headers | {"origin": "https://evil.example"})
            assert "access-control-allow-origin" not in foreign.headers
            assert foreign.status_code == (200 if with_keys else 403)

    @pytest.mark.parametrize("wrong", ["null", "example.org", "https://a.example/", "https://*.example.org"])
    def test_what_is_no_origin_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValidationError, match="origin"):
            Settings(cors_origins=wrong)  # type: ignore[arg-type]
