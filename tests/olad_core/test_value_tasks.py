"""Tasks that predict values of edges: before they are applied, scored when the value comes, repeatable to the byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, SparseFeatures, UpsertEdge
from olad_core.graph_types import EdgeType
from olad_core.schema import HeldSchema, SchemaConflict, after_declaration
from olad_core.task_types import FEW_VALUES, EdgeClassTask, EdgeValueTask
from olad_core.value_tasks import ValueTaskAnswer
from tests.olad_core import task_engines
from tests.olad_core.task_engines import bytes_of, play

SCHEMA = GraphSchema(
    edge_types={
        "rated": EdgeType(directed=True),
        "moved": EdgeType(ids=True, feature_width=2),
        "knows": EdgeType(directed=False),
    },
    tasks={
        "rating": EdgeValueTask(kind="edge_value", edge_type="rated"),
        "amount": EdgeValueTask(kind="edge_value", edge_type="moved"),
        "years": EdgeValueTask(kind="edge_value", edge_type="knows"),
    },
)


def engine(schema: GraphSchema = SCHEMA, **changes: Any) -> Engine:
    return task_engines.engine(schema, **changes)


def ratings(entries: int, seed: int, kind: str = "rated", delay: int = 3) -> list[list[Event]]:
    """What a target receives is its number, what a source gives is higher or lower; values come some entries later."""
    draw = np.random.default_rng(seed)
    stream: list[list[Event]] = [[] for _ in range(entries + delay)]
    number = 0
    for at in range(entries):
        for _ in range(5):
            source, target = int(draw.integers(30)), int(draw.integers(60))
            name = f"p{number}" if kind == "moved" else None
            x = [float(source % 2), 0.5] if kind == "moved" else None
            number += 1
            stream[at].append(UpsertEdge(f"s{source}", f"t{target:02}", 1.0, float(at), kind, name, x))
            value = 10.0 * (target // 10) + source % 3 + draw.standard_normal()
            sent = stream[at][-1]
            assert isinstance(sent, UpsertEdge)
            ends = (None, None) if name else (sent.src, sent.dst)
            stream[at + delay].append(
                LabelNode(src=ends[0], dst=ends[1], edge=name, type=kind, ts=float(at + delay), value=value)
            )
    return stream


def ask(on: Engine, source: str, target: str, kind: str = "rated") -> ValueTaskAnswer:
    answer = on.value_tasks.answer(on.graph, kind, (source, target), None, 1.0)
    assert isinstance(answer, ValueTaskAnswer)
    return answer


@pytest.mark.parametrize("kind", ["moved", "rated", "knows"])
def test_values_are_predicted_better_than_by_the_means_of_the_ends(kind: str) -> None:
    on = engine()
    play(on, ratings(250, 0, kind))
    report = next(each for each in on.value_tasks.reports() if each.edge_type == kind)
    assert report.arrived >= report.labels > 100
    assert report.recent.mae is not None
    assert report.base_recent.mae is not None
    assert report.recent.mae < 0.7 * report.base_recent.mae
    assert report.recent.coverage == pytest.approx(0.9, abs=0.06)
    assert report.recent.r2 is not None
    assert report.recent.r2 > 0.8
    low, high = (ask(on, "unseen", target, kind).edge.now for target in ("t05", "t55"))
    assert low.value < 15
    assert high.value > 35
    for now in (low, high):
        assert now.low <= now.value <= now.high


def test_nothing_of_the_future_reaches_a_prediction() -> None:
    stream = ratings(60, 1)
    one, other = engine(), engine()
    play(one, stream[:50])
    play(other, stream[:50])
    edge = UpsertEdge("s2", "new", 3.0, 51.0, "rated")
    play(one, [[edge]], 51)
    play(other, [[edge, LabelNode(src="s2", dst="new", type="rated", value=1e9), *stream[50]]], 51)
    answers = [ask(each, "s2", "new").edge for each in (one, other)]
    assert answers[0].at_arrival == answers[1].at_arrival != None  # noqa: E711
    assert [answer.truth for answer in answers] == [None, 1e9]


def test_a_new_edge_is_answered_as_it_is_at_arrival() -> None:
    on = engine()
    play(on, ratings(60, 2))
    before = ask(on, "s3", "new").edge
    assert (before.remembered, before.at_arrival, before.truth) == (False, None, None)
    play(on, [[UpsertEdge("s3", "new", 1.0, on.graph.clock, "rated")]], 100)
    after = ask(on, "s3", "new").edge
    assert after.remembered
    assert after.at_arrival == before.now


@pytest.mark.parametrize("cut", [3, 40, 70])
def test_a_restored_engine_goes_on_to_the_same_bytes(cut: int) -> None:
    streams = ratings(80, 3), ratings(80, 4, "moved"), ratings(80, 5, "knows")
    stream = [[*a, *b, *c] for a, b, c in zip(*streams, strict=True)]
    stream[30].append(RemoveNode("s3"))
    stream[60] += [RemoveNode("t41"), RemoveEdge(type="moved", id="p299")]
    stream[61].append(UpsertEdge("s1", "s2", 1.0, None, "moved", "p299", [1.0, 2.0]))
    stream[62].append(LabelNode(edge="p299", type="moved", value=-3.5))
    stream[63].append(LabelNode(edge="p299", type="moved", value=700.0))
    whole, begun = engine(arrivals_remembered=150), engine(arrivals_remembered=150)
    play(whole, stream)
    play(begun, stream[:cut])
    tensors, values = begun.state()
    values = json.loads(json.dumps(values))
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    restored = Engine.restore(EngineConfig(arrivals_remembered=150), tensors, values, torch.device("cpu"))
    play(restored, stream[cut:], cut + 1)
    assert bytes_of(restored) == bytes_of(whole)
    assert restored.value_tasks.reports() == whole.value_tasks.reports()


def test_a_graph_without_such_a_task_keeps_its_state() -> None:
    on = engine(GraphSchema(tasks={"fraud": EdgeClassTask(kind="edge_class")}))
    play(on, [[UpsertEdge("a", "b", label="ok")]])
    tensors, values = on.state()
    assert "value_tasks" not in values
    assert not any(name.startswith("value_tasks") for name in tensors)
    assert not on.value_tasks.reports()


def test_nothing_is_answered_before_a_few_values() -> None:
    on = engine()
    values: list[Event] = [UpsertEdge("a", f"x{at}", type="rated", value=float(at)) for at in range(FEW_VALUES)]
    play(on, [values[:-1]])
    assert on.value_tasks.answer(on.graph, "rated", ("a", "x"), None, 1.0) == "no-model"
    assert not on.value_tasks.reports()[0].scored
    play(on, [values[-1:]], 2)
    now = ask(on, "a", "x").edge.now
    assert 0 <= now.low <= now.value <= now.high <= FEW_VALUES - 1
    assert on.value_tasks.answer(on.graph, "none", ("a", "x"), None, 1.0) == "no-task"
    assert on.value_tasks.answer(on.graph, "moved", None, "p7", 1.0) == "unknown-edge"


def test_a_value_of_an_edge_that_is_not_there_is_rejected() -> None:
    on = engine()
    play(on, [[UpsertEdge("a", "b", type="rated"), RemoveNode("b")], [UpsertEdge("a", "c", type="rated", value=1.0)]])
    outcome = on.apply("9-0", [LabelNode(src="a", dst="b", type="rated", value=1.0)], 9.0)
    assert [(each.op, each.reason) for each in on.take_publication().rejected] == [("label", "unknown-edge")]
    assert outcome.rejected == 1


def test_another_value_replaces_the_first_and_is_not_scored() -> None:
    on = engine()
    play(on, ratings(40, 6))
    play(on, [[UpsertEdge("s1", "new", type="rated", value=5.0)]], 100)
    before = on.value_tasks.reports()[0]
    play(on, [[LabelNode(src="s1", dst="new", type="rated", value=7.0)]], 101)
    after = on.value_tasks.reports()[0]
    assert (after.scored, after.labels) == (before.scored, before.labels)
    assert ask(on, "s1", "new").edge.truth == 7.0


def test_features_of_edges_are_inputs_also_where_they_are_declared_later() -> None:
    draw = np.random.default_rng(0)
    schema = GraphSchema(
        edge_types={"moved": EdgeType(ids=True, feature_width=2)},
        tasks={"amount": EdgeValueTask(kind="edge_value", edge_type="moved")},
    )
    on = engine(schema)
    stream: list[list[Event]] = []
    for at in range(150):
        stream.append([])
        for number in range(5):
            amount, name = float(draw.integers(100)), f"e{at}-{number}"
            x = [amount, 1.0] if number else SparseFeatures([0], [amount])
            stream[-1].append(UpsertEdge("a", f"b{number}", type="moved", id=name, x=x, value=3 * amount))
    play(on, stream)
    low = on.value_tasks.answer(on.graph, "moved", ("a", "b1"), None, 1.0, [5.0, 1.0])
    high = on.value_tasks.answer(on.graph, "moved", ("a", "b1"), None, 1.0, [95.0, 1.0])
    assert isinstance(low, ValueTaskAnswer)
    assert isinstance(high, ValueTaskAnswer)
    assert low.edge.now.value < 75
    assert high.edge.now.value > 200


@pytest.mark.parametrize(
    "change",
    [
        EdgeValueTask(kind="edge_value", edge_type="rated", coverage=0.5),
        EdgeValueTask(kind="edge_value", edge_type="moved"),
        EdgeClassTask(kind="edge_class", edge_type="rated"),
    ],
)
def test_what_a_task_is_about_stays(change: EdgeValueTask | EdgeClassTask) -> None:
    held = HeldSchema(**SCHEMA.model_dump())
    with pytest.raises(SchemaConflict, match="which stays"):
        after_declaration(held, GraphSchema(tasks={"rating": change}))
