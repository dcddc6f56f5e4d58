"""Features of edges as inputs of their task: found, known at arrival only, and part of the state."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from olad_core.config import EngineConfig
from olad_core.edge_tasks import TaskAnswer
from olad_core.engine import Engine
from olad_core.events import Event, Features, GraphSchema, LabelNode, RemoveEdge, SparseFeatures, UpsertEdge
from olad_core.graph_types import EdgeType
from olad_core.task_types import EdgeClassTask, Task
from olad_core.tasks.edge_class.learner import MOST_FEATURES
from tests.olad_core.task_engines import bytes_of, engine, play

WIDTH = 2
TASKS: dict[str, Task] = {
    "fraud": EdgeClassTask(kind="edge_class", edge_type="paid", classes=("ok", "fraud")),
    "stolen": EdgeClassTask(kind="edge_class", edge_type="moved", classes=("ok", "fraud")),
}


def schema(width: int | None = WIDTH) -> GraphSchema:
    types = {
        "paid": EdgeType(directed=True, feature_width=width),
        "moved": EdgeType(ids=True, feature_width=width),
    }
    return GraphSchema(edge_types=types, tasks=TASKS)


def payments(entries: int, seed: int, kind: str = "paid", delay: int = 3) -> list[list[Event]]:
    """A tenth is fraud, whoever pays whom. Only the second feature shows it: an amount of more than 1,000."""
    draw = np.random.default_rng(seed)
    stream: list[list[Event]] = [[] for _ in range(entries + delay)]
    for at in range(entries):
        for turn in range(5):
            source, target, fraud = f"n{draw.integers(30)}", f"m{draw.integers(3_000)}", draw.random() < 0.1
            name = f"{at}-{turn}" if kind == "moved" else None
            x = [float(draw.normal()), float(draw.uniform(1_000, 9_000) if fraud else draw.uniform(1, 900))]
            stream[at].append(UpsertEdge(source, target, 1.0, float(at), kind, name, x))
            ends = (None, None) if name else (source, target)
            label = "fraud" if fraud else "ok"
            stream[at + delay].append(LabelNode(label=label, src=ends[0], dst=ends[1], edge=name, type=kind))
    return stream


def without_features(stream: list[list[Event]]) -> list[list[Event]]:
    return [
        [
            UpsertEdge(each.src, each.dst, each.weight, each.ts, each.type, each.id)
            if isinstance(each, UpsertEdge)
            else each
            for each in entry
        ]
        for entry in stream
    ]


def precision_of_fraud(on: Engine, kind: str) -> float:
    report = next(each for each in on.edge_tasks.reports() if each.edge_type == kind)
    fraud = next(row for row in report.report.classes if row.name == "fraud")
    assert fraud.whole.average_precision is not None
    return fraud.whole.average_precision


def ask(on: Engine, x: Features | None, target: str = "nobody", kind: str = "paid") -> TaskAnswer:
    answer = on.edge_tasks.answer(on.graph, kind, ("n1", target), None, 1.0, x)
    assert isinstance(answer, TaskAnswer)
    return answer


@pytest.mark.parametrize("kind", ["paid", "moved"])
def test_fraud_that_only_the_features_show_is_found(kind: str) -> None:
    stream = payments(250, 0, kind)
    on, blind = engine(schema()), engine(schema())
    play(on, stream)
    play(blind, without_features(stream))
    assert precision_of_fraud(on, kind) > 0.6
    assert precision_of_fraud(blind, kind) < 0.2
    assert ask(on, [0.0, 5_000.0], kind=kind).edge.probabilities["fraud"] > 0.7
    assert ask(on, [0.0, 100.0], kind=kind).edge.probabilities["fraud"] < 0.1


def test_no_feature_of_the_future_reaches_a_prediction() -> None:
    """Neither the edge's own later features, nor those of other edges in the same entry or later."""
    stream = payments(60, 1)
    one, other = engine(schema()), engine(schema())
    play(one, stream[:50])
    play(other, stream[:50])
    time = one.graph.clock
    expected = ask(one, [0.3, 400.0], "new").edge.probabilities
    edge = UpsertEdge("n1", "new", 1.0, time, "paid", None, [0.3, 400.0])
    later = UpsertEdge("n1", "new", 1.0, time, "paid", None, [9.0, 9_000.0])
    truth = LabelNode(label="fraud", src="n1", dst="new", type="paid")
    play(one, [[edge]], 51)
    play(other, [[edge, later, truth, UpsertEdge("n1", "m5", 1.0, time, "paid", None, [0.0, 9_000.0])]], 51)
    play(other, [[later], *stream[50:]], 52)
    first, second = ask(one, None, "new").edge, ask(other, None, "new").edge
    assert first.at_arrival == second.at_arrival == expected
    assert second.truth == "fraud"
    # Asked for again, the edge is predicted from the features that it had at arrival.
    assert ask(other, [9.0, 9_000.0], "new").edge == second


@pytest.mark.parametrize("cut", [1, 40])
def test_a_restored_engine_goes_on_to_the_same_bytes(cut: int) -> None:
    stream = [[*a, *b] for a, b in zip(payments(60, 3), payments(60, 4, "moved"), strict=True)]
    config = EngineConfig(arrivals_remembered=150)
    whole, begun = (engine(schema(), arrivals_remembered=150) for _ in range(2))
    play(whole, stream)
    play(begun, stream[:cut])
    tensors, values = begun.state()
    held = {name: tensor.clone() for name, tensor in tensors.items()}
    restored = Engine.restore(config, held, json.loads(json.dumps(values)), torch.device("cpu"))
    play(restored, stream[cut:], cut + 1)
    assert bytes_of(restored) == bytes_of(whole)


def test_features_that_are_left_out_are_zeros_and_sparse_ones_are_read() -> None:
    on = engine(schema())
    play(on, payments(40, 5))
    assert ask(on, None) == ask(on, [0.0, 0.0])
    assert ask(on, SparseFeatures([1], [3_000.0])) == ask(on, [0.0, 3_000.0]) != ask(on, None)


def test_features_declared_later_are_inputs_from_then_on() -> None:
    """While the type `edge` has no edge, a width may still be declared. What was learned before is learned again."""
    task: dict[str, Task] = {"later": EdgeClassTask(kind="edge_class", edge_type="edge", classes=("ok", "fraud"))}
    on = engine(GraphSchema(directed=True, tasks=task))
    play(on, [[UpsertEdge("n1", f"m{at}", label=("ok", "fraud")[at % 2]) for at in range(40)]])
    play(on, [[RemoveEdge("n1", f"m{at}") for at in range(40)]], 10)
    on.declare("11-0", GraphSchema(directed=True, edge_types={"edge": EdgeType(feature_width=WIDTH)}, tasks=task))
    play(on, [[UpsertEdge("n1", f"m{at}", x=[1.0, 2.0 * at], label=("ok", "fraud")[at % 2]) for at in range(40)]], 12)
    assert ask(on, [0.0, 9_000.0], kind="edge") == ask(on, [0.0, 9_000.0], kind="edge") != ask(on, None, kind="edge")


def test_of_many_features_the_first_ones_are_inputs() -> None:
    width = MOST_FEATURES + 50
    on = engine(schema(width))
    draw = np.random.default_rng(8)
    edges: list[Event] = [
        UpsertEdge("n1", f"m{at}", 1.0, 1.0, "paid", None, draw.normal(size=width).tolist(), ("ok", "fraud")[at % 2])
        for at in range(40)
    ]
    play(on, [edges])
    first, last = ([float(at == place) for at in range(width)] for place in (MOST_FEATURES - 1, MOST_FEATURES))
    assert ask(on, first) != ask(on, None) == ask(on, last)
