"""A client that never gives up, and knows what must be in the graph."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import Counter
from typing import Any

import httpx

from service.store.positions import parse_position

CLASSES = 3
_LONGEST_WAIT_S = 0.5


class Producer:
    """Sends batches one after the other in a thread; each is sent again with its Idempotency-Key until it is accepted.

    A batch makes nodes that nobody else makes, edges to those of the batch before, a label; every fifth takes a node
    of twenty batches before away.

    Args:
        port: of the API, or of a proxy before it.
        name: part of every node's id.
        nodes: that a batch makes.
        pause_s: between two batches.
    """

    def __init__(self, port: int, name: str, nodes: int = 4, pause_s: float = 0.01) -> None:
        self._name = name
        self._nodes = nodes
        self._pause_s = pause_s
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=3, trust_env=False)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.turn = threading.Lock()
        """Whoever holds it sees a producer with no batch on its way."""
        self.batches = self.events = 0
        self.position = "0-0"
        self.expected: set[str] = set()
        self.removed: set[str] = set()
        self.answers: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After the batch that is being sent is accepted."""
        self._ending.set()
        self._thread.join()
        self._http.close()

    def node(self, batch: int, number: int) -> str:
        return f"{self._name}-{batch}-{number}"

    def _run(self) -> None:
        while not self._ending.is_set():
            with self.turn:
                self._send(self._batch(self.batches))
            time.sleep(self._pause_s)

    def _batch(self, batch: int) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for number in range(self._nodes):
            node, label = self.node(batch, number), (batch + number) % CLASSES
            features = [float(label == place) + 0.1 * (batch % 7) for place in range(CLASSES)]
            events.append({"op": "upsert_node", "id": node, "x": features, "label": str(label)})
            if batch:
                events.append({"op": "upsert_edge", "src": node, "dst": self.node(batch - 1, number)})
        if batch >= 20 and batch % 5 == 0:
            events.append({"op": "remove_node", "id": self.node(batch - 20, 0)})
        return events

    def _send(self, events: list[dict[str, Any]]) -> None:
        key = uuid.uuid4().hex
        while True:
            try:
                answer = self._http.post("/events", json=events, headers={"Idempotency-Key": key})
            except httpx.HTTPError as error:
                self.answers[type(error).__name__] += 1
                time.sleep(0.02)
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.status_code == 202:
                break
            assert answer.status_code in {429, 503}, answer.text
            time.sleep(min(_LONGEST_WAIT_S, float(answer.headers["Retry-After"])))
        made = {event["id"] for event in events if event["op"] == "upsert_node"}
        gone = {event["id"] for event in events if event["op"] == "remove_node"}
        self.expected = (self.expected | made) - gone
        self.removed |= gone
        position = answer.json()["position"]
        assert parse_position(position) > parse_position(self.position), "a batch stands before the one sent earlier"
        self.position = position
        self.events += len(events)
        self.batches += 1


def lost_and_surplus(http: httpx.Client, producer: Producer) -> tuple[int, int]:
    """Nodes that should be there and are not, and the other way round, according to the API itself."""
    known = present(http, sorted(producer.expected | producer.removed))
    return len(producer.expected - known), len(producer.removed & known)


def present(http: httpx.Client, nodes: list[str]) -> set[str]:
    found: set[str] = set()
    for first in range(0, len(nodes), 5000):
        answer = http.post("/predict", json={"nodes": nodes[first : first + 5000]})
        answer.raise_for_status()
        found |= {item["node"] for item in answer.json()["predictions"] if item.get("error") is None}
    return found


def is_fresh(http: httpx.Client, position: str) -> bool:
    """Whether predictions are true for that position."""
    with contextlib.suppress(httpx.HTTPError):
        answer = http.get("/status")
        if answer.is_success:
            reached: str = answer.json()["position"]
            return parse_position(reached) >= parse_position(position)
    return False
