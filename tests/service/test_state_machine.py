"""Random use of the HTTP API against a model in plain Python: after every batch both agree."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from olad_core.events import MAX_WEIGHT, Event, RemoveEdge, UpsertEdge
from service.store.keys import Keys
from tests.chaos.workers import ForkedWorker, Nursery, until
from tests.olad_core.graph.reference import Reference, events
from tests.redis_server import RedisServer
from tests.service.api.serving import serving

WIDTH = 2
NODES = "abcdef"
_runs = itertools.count()
batches = st.lists(events, min_size=1, max_size=8)


@pytest.fixture(scope="module")
def http(
    redis_server: RedisServer, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a running service that serves a model."""
    keys, folder = Keys(f"state-machine-{uuid.uuid4().hex}"), tmp_path_factory.mktemp("state-machine")
    with serving(redis_server.url, keys.graph) as client:
        worker = ForkedWorker(nursery, redis_server.url, keys, folder)
        worker.start()
        try:
            start = [{"op": "upsert_node", "id": f"start-{label}", "x": [0, 1], "label": label} for label in "xyz"]
            assert client.post("/events", json=start).status_code == 202
            until(lambda: client.get("/health/predicting").is_success)
            yield client
        finally:
            worker.close()


class Use(RuleBasedStateMachine):
    """Each run works on nodes of its own in one graph, so that the service starts once."""

    http: httpx.Client

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"{next(_runs)}-"
        self.model = Reference(directed=False, lifetime=None, width=WIDTH)
        self.sent: list[tuple[str, bytes, str]] = []
        self.position: str | None = None
        self.rejected: list[tuple[str, int, str]] = []

    @rule(batch=batches, ndjson=st.booleans())
    def send(self, batch: list[Event], ndjson: bool) -> None:
        body = self._body(batch, ndjson=ndjson)
        key = uuid.uuid4().hex
        answer = self._post(body, key, ndjson=ndjson)
        if any(is_refused(event) for event in batch):
            assert answer.status_code == 422, answer.text
            return
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == len(batch)
        self.position = answer.json()["position"]
        assert self.position is not None
        if not ndjson:
            self.sent.append((key, body, self.position))
        # The service's own clock does not matter to a graph whose edges stay.
        self.rejected += [(self.position, *rejection) for rejection in self.model.apply(batch, 0.0)[0]]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        key, body, position = data.draw(st.sampled_from(self.sent))
        answer = self._post(body, key)
        assert answer.status_code == 202
        assert answer.headers["idempotent-replayed"] == "true"
        assert answer.json()["position"] == position

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_another_body_with_a_known_key(self, data: st.DataObject) -> None:
        key, body, _ = data.draw(st.sampled_from(self.sent))
        assert self._post(body + b" ", key).status_code == 422

    @rule(batch=batches, broken=st.sampled_from([b'{"op": "no"}', b'{"op": "label", "id": "a"}', b"[]", b"nonsense"]))
    def send_a_batch_with_a_broken_event(self, batch: list[Event], broken: bytes) -> None:
        body = self._body(batch)
        assert self._post(body[:-1] + b"," + broken + b"]", uuid.uuid4().hex).status_code == 422

    @invariant()
    def nodes_are_those_of_the_model(self) -> None:
        waiting = {"min_position": self.position, "timeout_ms": "20000"} if self.position else {}
        names = [self.prefix + node for node in NODES]
        answer = self.http.post("/predict", json={"nodes": names}, params=waiting)
        assert answer.status_code == 200, answer.text
        there = {item["node"] for item in answer.json()["predictions"] if item.get("error") is None}
        assert there == {self.prefix + node for node in self.model.nodes}

    @invariant()
    def rejected_events_are_those_of_the_model(self) -> None:
        page = self.http.get("/events/rejected", params={"limit": 1000}).json()["rejected"]
        own = {position for position, _, _ in self.rejected} | {position for _, _, position in self.sent}
        reported = [(item["position"], item["index"], item["reason"]) for item in page if item["position"] in own]
        assert sorted(reported) == sorted(self.rejected)

    def _post(self, body: bytes, key: str, *, ndjson: bool = False) -> httpx.Response:
        kind = "application/x-ndjson" if ndjson else "application/json"
        return self.http.post("/events", content=body, headers={"Content-Type": kind, "Idempotency-Key": key})

    def _body(self, batch: Sequence[Event], *, ndjson: bool = False) -> bytes:
        own = []
        for event in batch:
            names = ("src", "dst") if isinstance(event, UpsertEdge | RemoveEdge) else ("id",)
            changes = {name: self.prefix + str(getattr(event, name)) for name in names}
            own.append(msgspec.structs.replace(event, **changes))
        return b"\n".join(map(msgspec.json.encode, own)) if ndjson else msgspec.json.encode(own)


def is_refused(event: Event) -> bool:
    """Whether the API, which knows the width, refuses the batch for this event."""
    if (getattr(event, "weight", None) or 0) > MAX_WEIGHT:
        return True
    x = getattr(event, "x", None)
    if x is None:
        return False
    return len(x) != WIDTH if isinstance(x, list) else max(x.indices, default=0) >= WIDTH


def test_the_service_does_what_the_model_does(http: httpx.Client) -> None:
    Use.http = http
    run_state_machine_as_test(
        Use,
        settings=settings(
            max_examples=30,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
