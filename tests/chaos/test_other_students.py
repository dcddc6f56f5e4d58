"""Another width on a served graph: no read fails, no position goes back, and the new students take over in the end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from olad_core.events import Event
from service.store.positions import parse_position
from service.store.status import WorkerStatus
from tests.chaos.service import WORKER_SETTINGS, Service, running_service
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.olad_core.streams import arriving, labels_of, two_communities

pytestmark = pytest.mark.timeout(300)


class Reader(threading.Thread):
    """Reads one prediction after the other, as fast as it gets answers."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.answers: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self._port = port
        self._ending = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=30, trust_env=False) as http:
            for node in itertools.cycle(range(40)):
                if self._ending.is_set():
                    return
                answer = http.get(f"/predict/{node}")
                if answer.is_success:
                    self.answers.append(answer.json())
                else:
                    self.failures.append(answer.text)

    def end(self) -> None:
        self._ending.set()
        self.join()


def post(service: Service, events: Sequence[Event]) -> str:
    answer = service.http.post("/events", json=msgspec.to_builtins(events))
    assert answer.is_success, answer.text
    position: str = answer.json()["position"]
    return position


def arrive(service: Service, events: Sequence[Event]) -> None:
    """Post events and wait until they are applied, so that labels after them come after the predictions."""
    position = post(service, events)
    assert service.http.get("/predict/0", params={"min_position": position, "timeout_ms": 9_000}).is_success


def report(service: Service) -> WorkerStatus:
    until(service.status)
    found = service.status()
    assert found is not None
    return found


def is_of_former_group(service: Service) -> bool:
    served = report(service).served
    return served is None or served.former


def with_width(service: Service, nursery: Nursery, width: int) -> ForkedWorker:
    settings = WORKER_SETTINGS | {"students": "gcn,sage", "width": width}
    return ForkedWorker(nursery, service.redis.url, service.keys, service.data_dir, **settings)


def turned_around() -> Iterator[tuple[list[Event], list[Event]]]:
    """Nodes, and later the class that their features do not show: what was learned before becomes wrong."""
    for first in itertools.count(1_000, 16):
        nodes = range(first, first + 16)
        yield arriving(nodes), labels_of(nodes, right=False)


def test_another_width_on_a_served_graph(nursery: Nursery, tmp_path: Path) -> None:
    with running_service(nursery, tmp_path, students="gcn,sage", width=8) as service:
        last = post(service, two_communities(40))
        until(lambda: service.http.get("/health/predicting").is_success)
        until(lambda: (checkpoint := report(service).checkpoint) is not None and checkpoint.position == last)
        reader = Reader(service.port)
        reader.start()
        try:
            service.held.add("worker")
            assert service.worker.terminate() == 0
            service.worker = with_width(service, nursery, 16)
            service.held.clear()
            until(lambda: service.worker.logged("caught up"))
            until(lambda: any(d.kind == "group-restarted" for d in report(service).decisions))
            begun = report(service)
            assert begun.served is not None
            assert begun.served.former
            assert [student.served for student in begun.students] == [False, False]
            assert begun.graph.labelled == 40
            line = f"width 8 became 16: version {begun.served.version} of {begun.served.student} stays until one of"
            until(lambda: service.worker.logged(line))

            batches = turned_around()
            for arrivals, labels in itertools.islice(batches, 3):
                arrive(service, arrivals)
                post(service, labels)
            # A kill in between begins again from a checkpoint, with the same version.
            service.kill("worker")
            until(service.worker.running)
            until(lambda: report(service).served is not None)
            while is_of_former_group(service):
                arrivals, labels = next(batches)
                arrive(service, arrivals)
                post(service, labels)
        finally:
            reader.end()
        switched = next(d for d in report(service).decisions if d.kind == "student-switched")
        assert "of the former group to" in switched.reason

    assert reader.failures == []
    positions = [parse_position(answer["position"]) for answer in reader.answers]
    assert positions == sorted(positions)
    assert len(positions) > 100
