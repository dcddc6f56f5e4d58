"""``olad api --processes``: several real processes behind one port, seen from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.workers import until
from tests.redis_server import RedisServer
from tests.service.api.raw import exchange

pytestmark = pytest.mark.timeout(180)


@dataclass
class Running:
    """The command, where it listens, and the file with all its output."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx.Response:
        """Over a connection of its own, which any of the processes may take."""
        return httpx.get(f"{self.url}{path}", timeout=30, trust_env=False)

    def children(self) -> list[psutil.Process]:
        """The API processes."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # Ended, and perhaps not yet waited for.
                found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
        return found

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        text = self.get("/metrics").text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def requests(self, route: str) -> float:
        """Answered in all, as the metrics have it."""
        found = self.metrics()
        return sum(
            value
            for (name, labels), value in found.items()
            if name == "olad_api_requests_total" and ("route", route) in labels
        )

    def pids(self) -> set[int]:
        """Of the processes that the metrics show."""
        found = self.metrics()
        return {int(dict(labels)["pid"]) for name, labels in found if name == "process_resident_memory_bytes"}


@contextlib.contextmanager
def olad_api(redis: RedisServer, graph: str, folder: Path, **settings: str) -> Iterator[Running]:
    """Two processes, which all have answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "api.log"
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OLAD_")}
    own = {"OLAD_REDIS_URL": redis.url, "OLAD_GRAPH": graph, "OLAD_PORT": str(port), "OLAD_LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "service.entry", "api", "--processes", "2"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment | own | settings | {"TMPDIR": str(temporary)}, stdout=output, stderr=output
        )
    running = Running(process, port, log, temporary)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def wait_until_both_serve(running: Running) -> None:
    def both() -> bool:
        assert running.process.poll() is None, running.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            return len(running.pids()) == 2
        return False

    until(both, 60)


def test_two_processes_are_one_service(redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
    with olad_api(redis_server, graph, tmp_path) as running:
        wait_until_both_serve(running)
        first = {child.pid for child in running.children()}
        assert running.pids() == first

        # Whoever is asked, the answer counts what all have done.
        for _ in range(20):
            assert running.get("/schema").status_code == 200
        assert {running.requests("/schema") for _ in range(6)} == {20}
        text = running.get("/metrics").text
        helps = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
        assert sorted(helps) == sorted(set(helps))
        assert "Multiprocess" not in text
        assert all(labels for name, labels in running.metrics() if name.startswith("process_"))

        # The protocol is ours in each of them.
        two_lengths = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1"
        with httpx.Client(base_url=running.url) as client:
            assert [exchange(client, two_lengths)[0].problem for _ in range(6)] == ["bad-request"] * 6

        # A killed process is replaced; its counts stay, its gauges and its memory go.
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(running.pids() - {victim}) == 2, 60)
        assert running.pids() == {child.pid for child in running.children()}
        assert running.requests("/schema") == 20
        for _ in range(10):
            assert running.get("/health/ready").status_code == 200

        # A reload replaces both, one after the other, and the service goes on.
        running.process.send_signal(signal.SIGHUP)
        until(lambda: not running.pids() & first and len(running.pids()) == 2, 60)
        assert running.requests("/schema") == 20

        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
        assert {line["pid"] for line in lines if "pid" in line} >= first

        ending = running.children()
        running.process.terminate()
        assert running.process.wait(60) == 0
        assert not [child for child in ending if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert list(running.folder.iterdir()) == []


def test_a_process_killed_before_it_answers_its_supervisor_is_replaced(
    redis_server: RedisServer, graph: str, tmp_path: Path
) -> None:
    with olad_api(redis_server, graph, tmp_path) as running:
        wait_until_both_serve(running)
        victim, other = sorted(child.pid for child in running.children())
        os.kill(victim, signal.SIGSTOP)
        time.sleep(2)  # The supervisor asks every half second, so it waits for this answer now.
        os.kill(victim, signal.SIGKILL)
        until(lambda: len({child.pid for child in running.children()} - {victim, other}) == 1, 20)


def test_the_processes_end_with_their_supervisor(redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
    with olad_api(redis_server, graph, tmp_path) as running:
        wait_until_both_serve(running)
        children = running.children()
        running.process.kill()
        running.process.wait()
        assert not psutil.wait_procs(children, timeout=30)[1]


def test_what_is_wrong_is_reported_once(redis_server: RedisServer, graph: str, tmp_path: Path) -> None:
    with olad_api(redis_server, graph, tmp_path, OLAD_HOST="0.0.0.0") as running:
        assert running.process.wait(60) == 1
        assert running.log.read_text().count("OLAD_ALLOW_ANONYMOUS") == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "temporary").rmdir()
        with olad_api(redis_server, graph, tmp_path, OLAD_PORT=str(taken.getsockname()[1])) as running:
            assert running.process.wait(60) == 3
            assert "Traceback" not in running.log.read_text()
