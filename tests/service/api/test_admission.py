from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from service.api.access import ANYBODY
from service.api.app import create_app
from service.api.request_log import RequestLog
from service.api_keys import create_key
from service.settings import Settings
from tests.redis_server import RedisServer
from tests.service.api.serving import assert_problem

EVENTS = [{"op": "upsert_node", "id": "a"}]


class TestHeaders:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/status", 200),
            ("GET", "/health/predicting", 503),
            ("GET", "/nowhere", 404),
            ("DELETE", "/events", 405),
            ("POST", "/events", 415),
            ("GET", "/metrics", 200),
        ],
    )
    def test_answers_of_the_api_are_kept_by_nobody_and_run_nothing(
        self, api: httpx.Client, method: str, path: str, status: int
    ) -> None:
        answer = api.request(method, path)
        assert answer.status_code == status
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers

    @pytest.mark.parametrize("path", ["/", "/assets/main.js", "/docs", "/docs/swagger-ui-bundle.js"])
    def test_pages_run_only_what_comes_from_here(self, api: httpx.Client, path: str) -> None:
        answer = api.get(path)
        assert answer.status_code == 200
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert not re.search(r"http|\*|unsafe", policy["script-src"])
        assert "//" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-cache"

    def test_the_documentation_loads_nothing_from_elsewhere(self, api: httpx.Client) -> None:
        page = api.get("/docs").text
        files = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert len(files) == 3
        for file in files:
            assert api.get(f"/{file}").status_code == 200
        assert api.get("/redoc").status_code == 404


class TestRequestIds:
    def test_a_harmless_one_is_kept(self, api: httpx.Client) -> None:
        for given in ("abc-1.2:3_X", "0", "f" * 128):
            assert api.get("/status", headers={"x-request-id": given}).headers["x-request-id"] == given

    @pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "a;b", "<script>", "é"])
    def test_another_one_is_replaced(self, api: httpx.Client, given: str | None) -> None:
        headers = {} if given is None else {b"x-request-id": given.encode()}
        found = [api.get("/nowhere", headers=headers).headers["x-request-id"] for _ in range(2)]
        assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in found)
        assert found[0] != found[1]


async def test_a_failure_is_told_without_its_stack_and_with_the_headers() -> None:
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0"))

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/broken", headers={"x-request-id": "r1"})
    assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == "r1"
    assert answer.headers["cache-control"] == "no-store"


class Process:
    """``olad api`` as users run it, and the lines it logs."""

    def __init__(self, log: Path, port: int, environment: dict[str, str]) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "api"],
                env=os.environ | environment | {"OLAD_LOG_FORMAT": "json", "OLAD_PORT": str(port)},
                stderr=output,
            )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        while True:
            assert self.process.poll() is None, log.read_text()
            try:
                self.http.get("/health/live")
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return

    def lines(self, logger: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [line for line in found if line["logger"] == logger]

    def text(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) in {0, -signal.SIGTERM}


@pytest.fixture
def process(redis_server: RedisServer, graph: str, tmp_path: Path) -> Iterator[tuple[Process, str]]:
    file = tmp_path / "keys.json"
    key = create_key(file, "feeder", ["read", "write"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "OLAD_REDIS_URL": redis_server.url,
        "OLAD_GRAPH": graph,
        "OLAD_API_KEYS_FILE": str(file),
        "OLAD_REQUEST_LOG": "all",
    }
    process = Process(tmp_path / "api.log", port, environment)
    try:
        yield process, key
    finally:
        process.stop()


def _asked(api: Process) -> list[dict[str, Any]]:
    return [line for line in api.lines("service.requests") if not line["path"].startswith("/health")]


def test_the_audit_log_says_who_did_what_and_no_secret(process: tuple[Process, str]) -> None:
    api, key = process
    headers = {"authorization": f"Bearer {key}", "x-request-id": "r1"}
    position = api.http.post("/events", json=EVENTS, headers=headers).json()["position"]
    api.http.put("/schema", json={}, headers=headers)
    api.http.get("/status", headers=headers)
    api.http.get("/predict/a?min_position=secret-query")
    api.http.get("/predict/%1b%5b2J", headers=headers)
    audited = api.lines("service.audit")
    assert [(line["method"], line["path"], line["status"], line["key"]) for line in audited] == [
        ("POST", "/events", 202, "feeder"),
        ("PUT", "/schema", 403, "feeder"),
        ("GET", "/predict/a", 401, "anonymous"),
    ]
    assert audited[0]["position"] == position
    assert audited[0]["request_id"] == "r1"
    assert audited[0]["address"] == "127.0.0.1"
    # A line is written once the answer is out.
    end = time.monotonic() + 30
    while len(asked := _asked(api)) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    assert [line["path"] for line in asked] == ["/status", "/predict/\x1b[2J"]
    assert key.rpartition("_")[2] not in api.text()
    assert "secret-query" not in api.text()
    assert "\x1b" not in api.text()


def test_an_address_is_the_connections_own_whatever_the_client_claims(process: tuple[Process, str]) -> None:
    api, _ = process
    api.http.get("/status", headers={"x-forwarded-for": "192.0.2.99"})
    end = time.monotonic() + 30
    while not (lines := api.lines("service.audit")) and time.monotonic() < end:
        time.sleep(0.02)
    assert lines[-1]["address"] == "127.0.0.1"


def test_refusals_that_are_the_same_are_one_line_a_minute() -> None:
    log = RequestLog("errors", audit=True)
    with structlog.testing.capture_logs() as lines:
        for second in range(0, 130, 2):
            scope = {"method": "GET", "path": "/status", "client": ("192.0.2.1", 5)}
            log.write(scope, ANYBODY, 401, float(second))
        for number in range(2_000):
            log.write({**scope, "path": f"/{number}"}, ANYBODY, 401, 200.0)
        log.write({**scope, "method": "PUT"}, ANYBODY, 202, 200.0)
        log.write({**scope, "method": "PUT"}, ANYBODY, 202, 200.0)
    dashboard = [line for line in lines if line["path"] == "/status" and line["method"] == "GET"]
    assert [line.get("same_before") for line in dashboard] == [None, 29, 29]
    # Others, and changes, have a line each.
    assert len(lines) == 3 + 2_000 + 2


def test_what_changes_nothing_is_not_in_the_audit_log() -> None:
    log = RequestLog("errors", audit=True)
    questions = ["/predict", "/predict/edge", "/embeddings", "/what-if", "/v2/models/default/infer"]
    with structlog.testing.capture_logs() as lines:
        for path in [*questions, "/events", "/versions/rollback"]:
            log.write({"method": "POST", "path": path, "client": None}, ANYBODY, 200, 0.0)
    assert [line["path"] for line in lines] == ["/events", "/versions/rollback"]


def test_a_page_without_a_key_is_not_a_line_of_the_audit_log_each_time(process: tuple[Process, str]) -> None:
    api, _ = process
    for _ in range(20):
        assert api.http.get("/students").status_code == 401
    audited = [line for line in api.lines("service.audit") if line["path"] == "/students"]
    assert len(audited) == 1
    # A line is written after its answer.
    assert len([line for line in api.lines("service.requests") if line["path"] == "/students"]) in {18, 19}
