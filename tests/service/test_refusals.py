"""``olad up`` with a worker that refuses to start: reported once, and not restarted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.exit_codes import REFUSES
from service.worker.checkpoint import list_checkpoints
from tests.chaos.workers import until
from tests.redis_server import RedisServer

_REFUSAL = "the worker cannot go on, and starting it again does not help"
pytestmark = pytest.mark.timeout(300)


@contextlib.contextmanager
def olad_up(redis: RedisServer, folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The running command, and the file with all its output."""
    log = folder / f"up-{len(list(folder.glob('up-*.log')))}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OLAD_")}
    quick = {"OLAD_CHECKPOINT_INTERVAL_S": "0.2", "OLAD_STUDENTS": "gcn,sage", "NO_PROXY": "*", "COLUMNS": "200"}
    command = [sys.executable, "-m", "service.cli", "up", "--port", "0", "--redis-url", redis.url]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder / "data")],
            env=environment | quick | settings,
            stdout=output,
            stderr=output,
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def checkpoint_of(http: httpx.Client) -> object:
    """Position of the newest checkpoint that the worker reports."""
    worker = http.get("/status").json()["worker"]
    return worker and worker["checkpoint"] and worker["checkpoint"]["position"]


def test_a_refusal_is_said_once_and_the_rest_goes_on_but_nothing_starts_with_it(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    with olad_up(own_redis_server, tmp_path, OLAD_WIDTH="8") as (process, log):
        until(lambda: "Ctrl-C" in log.read_text(), 120)
        found = re.search(r"Dashboard +(\S+)/\n", log.read_text())
        assert found is not None
        with httpx.Client(base_url=found[1], timeout=10, trust_env=False) as http:
            position = http.post("/events", json=[{"op": "upsert_node", "id": 1, "label": "a"}]).json()["position"]
            until(lambda: checkpoint_of(http) == position)
            with own_redis_server.client() as client:
                client.flushall()
            until(lambda: "starting it again would not help; the other processes keep running" in log.read_text())
            assert http.get("/health/live").is_success
            # Events are accepted, and wait for the worker; what it had published went with Redis's data.
            assert http.get("/health/ready").is_success
            assert http.get("/health/predicting").status_code == 503
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert log.read_text().count(_REFUSAL) == 1
    assert list_checkpoints(tmp_path / "data" / "checkpoints" / "default")

    with olad_up(own_redis_server, tmp_path, OLAD_STUDENTS="nobody") as (process, log):
        assert process.wait(120) == 1
    output = log.read_text()
    assert output.count(_REFUSAL) == 1
    assert "there is no student nobody" in output
    assert f"the worker refuses to start (exit code {REFUSES})" in output
    assert "Traceback" not in output
