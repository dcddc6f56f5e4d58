"""Far more events than the worker can apply: ``python -m tests.chaos.flood --seconds 300`` prints what became of them.

Clients send batches one after the other as fast as they can and ignore Retry-After. Half of the batches
add edges, the other half take just those away again, so the graph stays as it is in size, and a batch that is lost,
applied twice or out of turn shows: in the number of applied events, in the number of edges, or in removals of edges
that are not there, which are rejected.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from service.settings import Settings
from service.store.positions import parse_position
from service.store.status import WorkerStatus
from tests.chaos.producer import is_fresh
from tests.chaos.service import Service, running_service
from tests.chaos.workers import nursery, until

CLIENTS = 2
EDGES = 1000
"""Events in a batch."""
SLOTS = 20
"""Batches of edges that are in the graph at the same time, of each client."""
HUBS = 200
CLASSES = 4
LONGEST_DRAIN_S = 600.0


class Flooder:
    """Sends batch after batch; each is sent again, at once, until it is accepted.

    Args:
        port: of the API.
        name: part of every node's id.
    """

    def __init__(self, port: int, name: str) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._name = name
        self._bodies = [msgspec.json.encode(self._edges(slot, op)) for op in _OPS for slot in range(SLOTS)]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.posted = self.accepted = self.edges = 0
        self.position = "0-0"
        self.answers: Counter[str] = Counter()

    def prepare(self) -> None:
        """Send what the service needs to have a model, and to be ready."""
        self._send(msgspec.json.encode(self._hubs()), HUBS)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """A batch on its way is sent until it is accepted."""
        self._ending.set()

    def join(self) -> None:
        self._thread.join()

    def _hubs(self) -> list[dict[str, Any]]:
        return [
            {
                "op": "upsert_node",
                "id": f"{self._name}-{hub}",
                "x": [float(hub % CLASSES == place) for place in range(CLASSES)],
                "label": str(hub % CLASSES),
            }
            for hub in range(HUBS)
        ]

    def _edges(self, slot: int, op: str) -> list[dict[str, Any]]:
        return [
            {"op": op, "src": f"{self._name}-{slot}-{edge}", "dst": f"{self._name}-{(7 * edge + slot) % HUBS}"}
            for edge in range(EDGES)
        ]

    def _run(self) -> None:
        number = 0
        while not self._ending.is_set():
            self._send(self._bodies[number % len(self._bodies)], EDGES)
            self.edges += EDGES if number % len(self._bodies) < SLOTS else -EDGES
            number += 1
        self._http.close()

    def _send(self, body: bytes, events: int) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        while True:
            self.posted += events
            try:
                self._http.request("POST", "/events", body, headers)
                answer = self._http.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1
                self._http.close()
                continue
            self.answers[str(answer.status)] += 1
            if answer.status == 202:
                break
            assert answer.status in {429, 503}, content
            assert int(answer.headers["Retry-After"]) > 0
        self.position = msgspec.json.decode(content)["position"]
        self.accepted += events


_OPS = ("upsert_edge", "remove_edge")
_AS_USERS_HAVE_IT = ("width", "warmup_steps", "publish_steps", "checkpoint_interval_s", "max_behind")


@dataclass
class Flooded:
    """What became of a flood; events, bytes in megabytes, seconds.

    Attributes:
        posted: sent, those that were refused and sent again included.
        refused: of these, answered 429.
        lost: accepted and not applied, or edges that are missing.
        duplicated: applied more often than accepted, or edges too many.
        rejected: removals of edges that were not there; there must be none.
        unready: times during the flood that a health check or a prediction was not answered as it must be.
    """

    seconds: float = 0.0
    posted: int = 0
    accepted: int = 0
    refused: int = 0
    applied: int = 0
    lost: int = 0
    duplicated: int = 0
    rejected: int = 0
    most_behind: int = 0
    drained_s: float = 0.0
    peak_log_mb: float = 0.0
    peak_redis_mb: float = 0.0
    peak_api_mb: float = 0.0
    peak_worker_mb: float = 0.0
    unready: int = 0
    ready_afterwards: bool = False
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def times_too_fast(self) -> float:
        """Events posted for each one that was applied while the flood was on."""
        return self.posted / max(1, self.applied)

    @property
    def sound(self) -> bool:
        """Whether all is as it must be."""
        flaws = (self.lost, self.duplicated, self.rejected)
        return not any(flaws) and self.applied == self.accepted > 0 and self.ready_afterwards


def flood(service: Service, seconds: float) -> Flooded:
    """Flood a fresh service for that long, and let it apply what it has accepted."""
    clients = [Flooder(service.port, f"flood-{number}") for number in range(CLIENTS)]
    for client in clients:
        client.prepare()
    until(lambda: service.http.get("/health/predicting").is_success)
    found, ending = Flooded(seconds=seconds), threading.Event()
    watcher = threading.Thread(target=_watch, args=(service, found, ending))
    watcher.start()
    try:
        for client in clients:
            client.start()
        time.sleep(seconds)
    finally:
        for client in clients:
            client.end()
        for client in clients:
            client.join()
        ending.set()
        watcher.join()
    started = time.monotonic()
    position = max((client.position for client in clients), key=parse_position)
    until(lambda: is_fresh(service.http, position), LONGEST_DRAIN_S)
    until(lambda: (status := service.status()) is not None and status.position == position, LONGEST_DRAIN_S)
    found.drained_s = time.monotonic() - started
    status = service.status()
    assert status is not None
    _account(found, clients, status)
    found.ready_afterwards = all(service.http.get(f"/health/{what}").is_success for what in ("ready", "predicting"))
    return found


def _account(found: Flooded, clients: list[Flooder], status: WorkerStatus) -> None:
    answers = sum((client.answers for client in clients), Counter[str]())
    found.answers = dict(answers)
    found.posted = sum(client.posted for client in clients)
    found.accepted = sum(client.accepted for client in clients)
    found.refused = EDGES * answers["429"]
    found.applied, found.rejected = status.applied_events, status.rejected_events
    edges = sum(client.edges for client in clients)
    found.lost = max(0, found.accepted - found.applied) + max(0, edges - status.graph.edges)
    found.duplicated = max(0, found.applied - found.accepted) + max(0, status.graph.edges - edges)


def _watch(service: Service, found: Flooded, ending: threading.Event) -> None:
    """Memory and lag, and whether the service still answers those who read."""
    redis = service.redis.client()
    with redis, httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=10, trust_env=False) as http_client:
        while not ending.wait(0.25):
            memory = redis.memory_usage(service.keys.log, samples=100) or 0
            found.peak_log_mb = max(found.peak_log_mb, memory / 1e6)
            found.peak_redis_mb = max(found.peak_redis_mb, redis.info("memory")["used_memory"] / 1e6)
            found.peak_api_mb = max(found.peak_api_mb, _resident_mb(service.pid("api")))
            found.peak_worker_mb = max(found.peak_worker_mb, _resident_mb(service.pid("worker")))
            with contextlib.suppress(httpx.HTTPError):
                ready = all(http_client.get(f"/health/{what}").is_success for what in ("ready", "predicting"))
                found.most_behind = max(found.most_behind, http_client.get("/status").json()["log"]["behind_events"])
                if ready and http_client.get("/predict/flood-0-0").is_success:
                    continue
            found.unready += 1


def _resident_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _text(value: object) -> str:
    """How the table shows a result."""
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="of flood")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="olad-flood-"))
    settings = {name: getattr(Settings(), name) for name in _AS_USERS_HAVE_IT}
    try:
        with nursery() as running, running_service(running, folder, **settings) as service:
            found = flood(service, given.seconds)
    except BaseException:
        print(f"the logs are in {folder}")
        raise
    shutil.rmtree(folder)
    table = Table("what", "result", title="A flood on a service with default settings")
    for name, value in {**asdict(found), "times_too_fast": found.times_too_fast}.items():
        table.add_row(name.replace("_", " "), _text(value))
    Console(width=120).print(table)
    sys.exit(not found.sound)


if __name__ == "__main__":
    main()
