"""Edges and versions through both clients, against a real worker's answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import GraphSchema, UpsertEdge
from service.client import Client, InvalidRequest, NoModel, NoTask, UnknownEdge, UnknownVersion
from service.models import EdgeOfMany
from service.store.keys import Keys
from tests.service.api.answering import AnsweringWorker
from tests.service.client.conftest import Connect

DECLARED = GraphSchema.model_validate(
    {
        "edge_types": {"paid": {"directed": True}, "moved": {"ids": True}, "plain": {}},
        "tasks": {
            "fraud": {"kind": "edge_class", "edge_type": "paid"},
            "stolen": {"kind": "edge_class", "edge_type": "moved"},
        },
    }
)


@pytest.fixture
def client(url: str, connect: Connect, redis_client: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[Client]:
    client = connect(url, patience_s=120)  # the worker's first turn compiles
    client.declare(DECLARED)
    worker = AnsweringWorker(Engine(EngineConfig(), torch.device("cpu")), redis_client, keys, tmp_path)
    with worker.at_work():
        yield client


def test_an_edge_by_its_ends_and_by_its_id(client: Client) -> None:
    paid = [UpsertEdge(src="a", dst=f"x{at}", type="paid", ts=1.0, label="fraud") for at in range(5)]
    paid += [UpsertEdge(src="b", dst=f"x{at}", type="paid", ts=1.0, label="ok") for at in range(5)]
    moved = [UpsertEdge(src="a", dst="b", type="moved", id=f"m{at}", ts=1.0, label=str(at % 2)) for at in range(4)]
    client.append([*paid, *moved])
    new = client.predict_edge("a", "new", edge_type="paid", weight=2.5)
    assert (new.src, new.dst, new.task, new.arrived, new.position) == ("a", "new", "fraud", False, client.position)
    assert set(new.probabilities) == {"fraud", "ok"}
    why = client.explain_edge("a", "new", edge_type="paid", weight=2.5, most=3)
    assert (why.label, why.probability) == (new.label, new.probabilities[new.label])
    assert (len(why.labels), why.count) == (3, 5)
    with pytest.raises(TypeError):
        client.explain_edge()
    known = client.predict_edge(edge_id="m3", edge_type="moved")
    assert (known.id, known.src, known.truth, known.arrived) == ("m3", None, "1", True)
    with pytest.raises(UnknownEdge):
        client.predict_edge(edge_id="m9", edge_type="moved")


def test_many_edges_at_once(client: Client) -> None:
    labels = ["ok", "fraud"] * 4
    client.append([UpsertEdge(src="a", dst=f"x{at}", type="paid", label=label) for at, label in enumerate(labels)])
    asked = [{"src": "a", "dst": "new", "type": "paid"}, {"src": "a", "dst": "b", "type": "plain"}]
    found = client.predict_edges(asked)
    assert found.position == client.position
    of_classes = [each for each in found.predictions if isinstance(each, EdgeOfMany)]
    assert [each.error for each in of_classes] == [None, "no-task"]
    assert set(of_classes[0].probabilities or {}) == {"ok", "fraud"}
    with pytest.raises(InvalidRequest, match=r"edges\[0\].dst"):
        client.predict_edges([{"src": "a"}])


def test_an_edge_without_an_answer(client: Client) -> None:
    with pytest.raises(NoTask, match="PUT /schema"):
        client.predict_edge("a", "b", edge_type="plain")
    with pytest.raises(NoModel):
        client.predict_edge("a", "b", edge_type="paid")
    with pytest.raises(TypeError, match="by src and dst, or by edge_id"):
        client.predict_edge()


def test_versions(client: Client) -> None:
    assert client.versions().versions == ()
    before = client.position
    for refused in (lambda: client.model_card(1), lambda: client.pin(1), client.roll_back):
        with pytest.raises(UnknownVersion):
            refused()
    assert client.position == before
    assert client.unpin().position == client.position != before
