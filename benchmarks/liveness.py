"""How long others wait while one client sends the largest batches, or asks for the largest answers.

python -m benchmarks.liveness [--seconds 8] [--source DIRECTORY]

``--source`` takes the API from another checkout, to compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import psutil
import redis

from benchmarks.report import emit
from benchmarks.stack import Stack
from olad_core.serving.publication import Publication, TableUpdate, Version
from service.local.processes import environment, listen
from service.settings import Settings
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter

NODES = 10_000
WIDE_NODES = 300
EVERY_S = 0.02
_JSON = {"Content-Type": "application/json"}


def main() -> None:
    """Measure each load by itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of batches")
    parser.add_argument("--source", type=Path, default=Path.cwd(), help="checkout whose API is measured")
    given = parser.parse_args()
    results: dict[str, float] = {}
    batch = _batch()
    with Stack(max_behind=10**9) as stack:
        _publish(stack.redis, Keys("many"), NODES, 10)
        _publish(stack.redis, Keys("wide"), WIDE_NODES, 10_000)
        loads: list[tuple[str, str, Callable[[int], None]]] = [
            ("batches_16_mb", "many", lambda port: _post_for(port, batch, given.seconds)),
            ("answers_100_of_10000_nodes", "many", lambda port: _ask_at_once(port, 100, _asked(NODES))),
            ("answers_10_of_300_nodes_10000_classes", "wide", lambda port: _ask_at_once(port, 10, _asked(WIDE_NODES))),
            ("bodies_60_unfinished", "many", _leave_unfinished),
        ]
        for name, graph, load in loads:
            settings = stack.settings.model_copy(update={"graph": graph})
            with _api(settings, given.source) as (port, process):
                before = process.memory_info().rss
                waits = _while_probed(port, lambda load=load, port=port: load(port))  # type: ignore[misc]
                results[f"{name}_live_p50_ms"] = 1000 * float(np.quantile(waits, 0.5))
                results[f"{name}_live_p99_ms"] = 1000 * float(np.quantile(waits, 0.99))
                results[f"{name}_live_worst_ms"] = 1000 * max(waits)
                results[f"{name}_memory_mb"] = (_peak(process) - before) / 1e6
            stack.redis.delete(Keys(graph).log)
    emit("liveness", results, at_most={f"{name}_live_p99_ms": 100 for name, _, _ in loads})


def _batch() -> bytes:
    draw = random.Random(0)
    events = [
        {"op": "upsert_node", "id": f"n{index}", "x": [draw.random() for _ in range(78)]} for index in range(10_000)
    ]
    return json.dumps(events).encode()


def _asked(nodes: int) -> bytes:
    return json.dumps({"nodes": [f"n{index}" for index in range(nodes)]}).encode()


def _publish(client: redis.Redis, keys: Keys, nodes: int, classes: int) -> None:
    writer = PredictionWriter(client, keys)
    writer.start()
    values = np.random.default_rng(0).random((nodes, classes), np.float32)
    ids, places = tuple(f"n{index}" for index in range(nodes)), np.arange(nodes)
    update = TableUpdate(1, ids, values, np.zeros(nodes, np.float32), rows=places)
    served = Version(1, "sage", tuple(f"class {index}" for index in range(classes)))
    writer.publish(Publication("1-0", 0, (update,), served, (), ()))


@contextlib.contextmanager
def _api(settings: Settings, source: Path) -> Iterator[tuple[int, psutil.Process]]:
    with listen("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        command = [sys.executable, "-m", "service.cli", "api", "--fd", str(listener.fileno())]
        variables = {**os.environ, **environment(settings)}
        with subprocess.Popen(command, cwd=source, env=variables, pass_fds=(listener.fileno(),)) as process:
            try:
                _request(port, "GET", "/health/live")
                yield port, psutil.Process(process.pid)
            finally:
                process.kill()


def _request(port: int, method: str, path: str, body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        try:
            connection.request(method, path, body, _JSON)
            answer = connection.getresponse()
            answer.read()
        except OSError:
            return 0
        return answer.status


def _post_for(port: int, batch: bytes, seconds: float) -> None:
    until = time.monotonic() + seconds

    def post(_: int) -> None:
        while time.monotonic() < until:
            _request(port, "POST", "/events", batch)

    with ThreadPoolExecutor(2) as clients:
        list(clients.map(post, range(2)))


def _ask_at_once(port: int, count: int, asked: bytes) -> None:
    with ThreadPoolExecutor(count) as clients:
        list(clients.map(lambda _: _request(port, "POST", "/predict", asked), range(count)))


def _leave_unfinished(port: int) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 16000000\r\n\r\n"
    with contextlib.ExitStack() as held:
        for _ in range(60):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            with contextlib.suppress(OSError):
                connection.sendall(head)
                for _ in range(15):
                    connection.sendall(b" " * 10**6)
        time.sleep(1)


def _while_probed(port: int, load: Callable[[], None]) -> list[float]:
    """How long ``GET /health/live`` took, asked again and again by a process of its own during the load."""
    context = multiprocessing.get_context("fork")
    stop, (here, there) = context.Event(), context.Pipe()
    prober = context.Process(target=lambda: there.send(_probe(port, stop)), daemon=True)
    prober.start()
    time.sleep(0.5)
    load()
    stop.set()
    waits: list[float] = here.recv()
    prober.join()
    return waits


def _probe(port: int, stop: Event) -> list[float]:
    waits = []
    while not stop.is_set():
        began = time.monotonic()
        _request(port, "GET", "/health/live")
        waits.append(time.monotonic() - began)
        time.sleep(EVERY_S)
    return waits


def _peak(process: psutil.Process) -> int:
    """The most memory the process ever had, in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
