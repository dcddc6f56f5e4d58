from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import redis
from typer.main import get_command
from typer.testing import CliRunner

from olad_core.serving.list_names import ListName
from olad_core.serving.publication import ListedNodes
from service.cli import app
from service.local.data_dir import locked
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.status import ArchiveStatus, WorkerStatus
from tests.redis_server import RedisServer
from tests.service.publications import publication, worker_status

EVENTS = '{"op": "upsert_node", "id": "n", "x": [1.0]}\n{"op": "label", "id": "n", "label": "a"}\n'


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    return writer


def _commands(group: Any, *before: str) -> Iterator[list[str]]:
    """Every command of a group, those of its groups among them, as words of the command line."""
    for name, command in group.commands.items():
        yield [*before, name]
        if hasattr(command, "commands"):
            yield from _commands(command, *before, name)


COMMANDS = list(_commands(get_command(app)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_listed_and_explains_itself(runner: CliRunner, command: list[str]) -> None:
    *group, name = command
    listed = runner.invoke(app, [*group, "--help"])
    assert re.search(rf"^\W*{name}\s+[A-Z]", listed.output, re.MULTILINE)
    for option in ("--help", "-h"):
        explained = runner.invoke(app, [*command, option])
        assert explained.exit_code == 0
        assert f"Usage: root {' '.join(command)}" in explained.output


def test_the_commands_are_all_there() -> None:
    assert {
        "up",
        "api",
        "worker",
        "replay",
        "evaluate",
        "status",
        "top",
        "demo",
        "verify",
        "repair",
        "check-student",
        "keys",
    } <= {name for (name, *_) in COMMANDS}


@pytest.mark.parametrize("command", [["status"], ["replay", "digits"], ["up"], ["api"], ["worker"], ["demo"]])
def test_a_wrong_setting_is_named(runner: CliRunner, command: list[str]) -> None:
    result = runner.invoke(app, command, env={"OLAD_PORT": "many"})
    assert result.exit_code == 2
    assert "OLAD_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_source_that_is_not_there_is_one_clear_line(runner: CliRunner) -> None:
    result = runner.invoke(app, ["replay", "nowhere.npz"])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: nowhere.npz: no such file, and no dataset of this name; the names are digits, ")


def test_a_service_that_is_not_there_is_named(runner: CliRunner) -> None:
    result = runner.invoke(app, ["status", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "no answer from http://127.0.0.1:9" in result.stderr


def test_a_line_that_is_no_event_is_named(runner: CliRunner, url: str, tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text(EVENTS.replace("label", "lable", 1))
    result = runner.invoke(app, ["replay", "events.ndjson", "--url", url])
    assert result.exit_code == 1
    assert "events.ndjson, line 2" in result.stderr


def test_replay_reports_for_people_and_machines_and_resumes(
    runner: CliRunner, url: str, writer: PredictionWriter, tmp_path: Path
) -> None:
    (tmp_path / "events.ndjson").write_text(EVENTS)
    # Served before, as by a worker that is ahead of everything.
    writer.publish(publication("9999999999999-0", {"n": (0.9, 0.1)}))
    result = runner.invoke(app, ["replay", "events.ndjson", "--url", url, "--json"])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["arrivals"], report["events"], report["accuracy"], report["complete"]) == (1, 2, 1.0, True)
    again = runner.invoke(app, ["replay", "events.ndjson", "--url", url])
    assert "All of it had been sent before" in again.output
    assert "100.0 %" in again.output
    fresh = runner.invoke(app, ["replay", "events.ndjson", "--url", url, "--json", "--fresh"])
    assert json.loads(fresh.stdout)["events"] == 2
    assert httpx.get(f"{url}/status", trust_env=False).json()["log"]["appended_events"] == 4


def test_replay_to_another_log_at_the_same_address_sends_all_of_it_and_says_so(
    runner: CliRunner, url: str, redis_client: redis.Redis, keys: Keys, writer: PredictionWriter, tmp_path: Path
) -> None:
    (tmp_path / "events.ndjson").write_text(EVENTS)
    writer.publish(publication("9999999999999-0", {"n": (0.9, 0.1)}))
    runner.invoke(app, ["replay", "events.ndjson", "--url", url])
    first = httpx.get(f"{url}/status", trust_env=False).json()
    again = runner.invoke(app, ["replay", "events.ndjson", "--url", url])
    assert "another log" not in again.output
    for key in (keys.log, keys.log_id, keys.appended, keys.schema):
        redis_client.delete(key)
    httpx.post(f"{url}/events", json=[{"op": "upsert_node", "id": "of somebody else"}], trust_env=False)
    result = runner.invoke(app, ["replay", "events.ndjson", "--url", url])
    assert (
        f"{url.rstrip('/')} has another log than the one this was sent to before: sending all of it." in result.output
    )
    assert "had been sent before" not in result.output
    appended = httpx.get(f"{url}/status", trust_env=False).json()["log"]["appended_events"]
    assert appended == first["log"]["appended_events"] + 1
    redis_client.set(keys.log_id, first["log_id"])
    back = runner.invoke(app, ["replay", "events.ndjson", "--url", url])
    assert "All of it had been sent before" in back.output, "each log has its own record"


def test_replay_reads_standard_input(runner: CliRunner, url: str, writer: PredictionWriter) -> None:
    writer.publish(publication("9999999999999-0", {"n": (0.1, 0.9)}))
    result = runner.invoke(app, ["replay", "-", "--url", url, "--json"], input=EVENTS)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["accuracy"], report["value_tasks"], report["node_value_tasks"]) == (0.0, [], [])


def test_top_lists_the_likeliest_nodes(runner: CliRunner, url: str, writer: PredictionWriter) -> None:
    name = str(ListName("top", 100, False, "a"))
    shares = np.array([0.75, 0.25], np.float32)
    made = ListedNodes(name, ("one", "two"), ("a", "b"), shares, shares, marked=0)
    writer.publish(replace(publication("5-0", {"one": [0.75, 0.25], "two": [0.25, 0.75]}), lists=(made,)))
    found = runner.invoke(app, ["top", "a", "--url", url])
    assert found.exit_code == 0, found.output
    for text in ("one", "75.0 %", "two", "25.0 %", "exact at position 5-0"):
        assert text in found.stdout
    as_json = json.loads(runner.invoke(app, ["top", "a", "--limit", "1", "--url", url, "--json"]).stdout)
    assert [row["node"] for row in as_json["nodes"]] == ["one"]
    unknown = runner.invoke(app, ["top", "nothing", "--url", url])
    assert unknown.exit_code == 1
    assert "no class 'nothing'" in unknown.stderr


def test_status_shows_what_there_is_from_the_beginning_on(
    runner: CliRunner, url: str, writer: PredictionWriter
) -> None:
    before = runner.invoke(app, ["status", "--url", url])
    assert before.exit_code == 0, before.stderr
    assert "has never reported" in before.output
    writer.write_status(worker_status(missing=("two classes with labels",), checkpoint_at=1.0), b"")
    after = runner.invoke(app, ["status", "--url", url])
    for text in ("two classes with labels", "sage", "1,234", "60.0 %", "since version 1", "no heartbeat"):
        assert text in after.output
    for text in ("always a: 92.0 % right", "b", "8", "4", "50.0 %", "25.0 %", "33.3 %"):
        assert text in after.output
    as_json = json.loads(runner.invoke(app, ["status", "--url", url, "--json"]).stdout)
    assert as_json["status"]["worker"]["served_report"]["confusion"]["counts"] == [[90, 2], [6, 2]]
    assert as_json["status"]["worker"]["graph"]["nodes"] == 2
    assert as_json["students"][0]["name"] == "sage"


@pytest.mark.parametrize(
    ("graph_status", "shown"),
    [
        ({"latest_time": None}, "none yet"),
        ({"latest_time": 2010.0, "event_time": True}, "2010, a ts"),
        ({"latest_time": 1763900000000.5, "event_time": True}, "1763900000000.5, a ts"),
        ({"latest_time": -3e9, "event_time": True}, "-3000000000, a ts"),
        ({"latest_time": 1763900000.0}, "2025-11-23 12:13:20 UTC, the time of arrival"),
    ],
)
def test_status_shows_the_latest_time_of_the_graph(
    runner: CliRunner, url: str, writer: PredictionWriter, graph_status: dict[str, object], shown: str
) -> None:
    report = worker_status()
    writer.write_status(report.model_copy(update={"graph": report.graph.model_copy(update=graph_status)}), b"")
    result = runner.invoke(app, ["status", "--url", url])
    assert re.search(rf"^│ latest time +│ {re.escape(shown)} +│$", result.output, re.MULTILINE), result.output


def test_a_taken_port_is_named(runner: CliRunner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = runner.invoke(app, ["up", "--port", str(port)])
    assert result.exit_code == 1
    assert f"port {port}" in result.stderr
    assert "--port" in result.stderr


def test_a_data_directory_in_use_is_named(runner: CliRunner, tmp_path: Path) -> None:
    with locked(tmp_path / "data"):
        result = runner.invoke(app, ["up", "--port", "0", "--data-dir", "data"])
    assert result.exit_code == 1
    assert "data is in use by another running service" in result.stderr


def test_a_redis_that_cannot_be_reached_is_named(runner: CliRunner) -> None:
    result = runner.invoke(app, ["up", "--port", "0", "--redis-url", "redis://127.0.0.1:9/0"])
    assert result.exit_code == 1
    assert "--redis-url cannot be used" in result.stderr


def test_the_api_process_serves_an_inherited_socket_and_ends_on_sigterm(
    redis_server: RedisServer, graph: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        process = psutil.Popen(
            [sys.executable, "-m", "service.cli", "api", "--fd", str(descriptor)],
            env=os.environ | {"OLAD_REDIS_URL": redis_server.url, "OLAD_GRAPH": graph, "OLAD_LOG_FORMAT": "json"},
            pass_fds=[descriptor],
            stderr=subprocess.PIPE,
            cwd=tmp_path,
        )
        live = httpx.get(f"http://127.0.0.1:{listener.getsockname()[1]}/health/live", timeout=60, trust_env=False)
        assert live.json() == {"live": True}
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert process.returncode in {0, -signal.SIGTERM}
    assert "Application shutdown complete" in [json.loads(line)["event"].rstrip(".") for line in log.splitlines()]


BAD = "[red]\x1b[2J\x00\x7f\x9b\x85\u200b\u200f\u2028\u202e\u2066\ufeff\n[/] forged"


def _hostile(value: object) -> object:
    if isinstance(value, str):
        return BAD
    if isinstance(value, dict):
        return {name: _hostile(item) for name, item in value.items()}
    return [_hostile(item) for item in value] if isinstance(value, list | tuple) else value


def test_status_shows_nothing_that_acts_on_a_terminal(
    runner: CliRunner, url: str, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    hostile: Any = _hostile(worker_status(missing=("x",)).model_dump())
    # A report with another word in it is none.
    hostile["learning"]["state"] = "resting"
    writer.write_status(WorkerStatus.model_validate(hostile), b"")
    result = runner.invoke(app, ["status", "--url", url])
    assert result.exit_code == 0, result.output
    assert all(letter.isprintable() for letter in result.output.replace("\n", ""))
    assert "\\u202e" in result.output


class _Refuses(BaseHTTPRequestHandler):
    """A service whose every error holds what acts on a terminal."""

    def do_GET(self) -> None:
        body = json.dumps({"type": BAD, "title": BAD, "detail": BAD, "status": 400}).encode()
        self.send_response(400)
        self.send_header("content-type", "application/problem+json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize("command", [["status"], ["replay", "\u202e[bold].ndjson"]])
def test_errors_of_a_service_do_not_act_on_a_terminal(runner: CliRunner, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "\u202e[bold].ndjson").write_text(EVENTS)
    with HTTPServer(("127.0.0.1", 0), _Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = runner.invoke(app, [*command, "--url", f"http://127.0.0.1:{server.server_port}"])
        server.shutdown()
    assert result.exit_code == 1, result.output
    assert "answered 400" in result.stderr
    assert all(letter.isprintable() for letter in result.output.replace("\n", ""))


@pytest.mark.parametrize(("problem", "shown"), [(None, "up to 4-0"), ("no space left [on device]", "fails: no space")])
def test_the_archive_is_shown_with_its_problem(
    runner: CliRunner, url: str, writer: PredictionWriter, problem: str | None, shown: str
) -> None:
    archive = ArchiveStatus(place="/archive", position="4-0", written_at=1.0, failures=1, problem=problem)
    writer.write_status(worker_status().model_copy(update={"archive": archive}), b"")
    assert shown in runner.invoke(app, ["status", "--url", url]).stdout
