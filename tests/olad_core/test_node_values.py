"""Tasks on values of nodes: at arrival and on request, exact at their position, repeatable to the byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from olad_core.node_value_tasks import NodeValueAnswer, NodeValueReport
from olad_core.schema import HeldSchema, SchemaConflict, after_declaration
from olad_core.task_types import FEW_VALUES, EdgeClassTask, NodeValueTask, Task
from tests.olad_core import task_engines
from tests.olad_core.task_engines import bytes_of, play

SCHEMA = GraphSchema(feature_width=2, tasks={"price": NodeValueTask(kind="node_value")})


def engine(schema: GraphSchema = SCHEMA, **changes: Any) -> Engine:
    return task_engines.engine(schema, **changes)


def houses(entries: int, seed: int, delay: int = 3, kind: str | None = None) -> list[list[Event]]:
    """Values that depend on the own features and on the mean of the neighbours' values, which come later."""
    draw = np.random.default_rng(seed)
    stream: list[list[Event]] = [[] for _ in range(entries + delay)]
    values: list[float] = []
    for at in range(entries):
        for _ in range(5):
            number, x = len(values), draw.standard_normal(2).round(3)
            area = number % 6
            lately = [other for other in range(max(0, number - 90), number) if other % 6 == area]
            near = draw.choice(lately, min(3, len(lately)), replace=False).tolist() if lately else []
            around = float(np.mean([values[other] for other in near])) if near else 10.0 * area
            values.append(0.6 * around + 4.0 * area + 3.0 * float(x[0]) + 0.5 * draw.standard_normal())
            stream[at].append(UpsertNode(f"h{number}", x.tolist(), ts=float(at), type=kind))
            stream[at] += [UpsertEdge(f"h{number}", f"h{other}", ts=float(at)) for other in near]
            stream[at + delay].append(LabelNode(f"h{number}", value=values[-1], ts=float(at + delay)))
    return stream


def ask(on: Engine, node: str, task: str | None = None) -> NodeValueAnswer:
    (answer,) = on.node_values.answers(on.graph, [node], task, 10_000).nodes
    assert isinstance(answer, NodeValueAnswer)
    return answer


def report(on: Engine) -> NodeValueReport:
    return on.node_values.reports()[0]


def test_values_are_predicted_better_than_by_the_mean_of_the_neighbours() -> None:
    on = engine()
    play(on, houses(250, 0))
    found = report(on)
    assert (found.arrived, found.labels, found.waiting) == (1_250, 1_250, 0)
    assert found.recent.mae is not None
    assert found.base_recent.mae is not None
    assert found.recent.mae < 0.6 * found.base_recent.mae
    assert found.recent.coverage == pytest.approx(0.9, abs=0.06)
    assert found.recent.r2 is not None
    assert found.recent.r2 > 0.85


def test_nothing_of_the_future_reaches_a_prediction() -> None:
    """Neither the own value nor those that come with the same entry are known at arrival."""
    stream = houses(60, 1)
    one, other = engine(), engine()
    play(one, stream[:50])
    play(other, stream[:50])
    new: list[Event] = [UpsertNode("new", [1.0, 0.0]), UpsertEdge("new", "h240"), UpsertEdge("new", "h246")]
    play(one, [new], 51)
    play(other, [[*new, LabelNode("new", value=1e9), LabelNode("h246", value=1e9)]], 51)
    answers = [ask(each, "new").node for each in (one, other)]
    assert answers[0].at_arrival == answers[1].at_arrival == answers[0].now
    assert [answer.truth for answer in answers] == [None, 1e9]


def test_the_answer_follows_what_is_around_the_node() -> None:
    on = engine()
    play(on, houses(100, 2))
    play(on, [[UpsertNode("new", [0.0, 0.0]), UpsertEdge("new", "h498")]], 200)  # an area of low values
    low = ask(on, "new").node
    play(on, [[RemoveEdge("new", "h498"), *(UpsertEdge("new", f"h{at}") for at in (485, 491, 497))]], 201)
    high = ask(on, "new").node
    assert low.at_arrival == high.at_arrival
    assert high.now.value > low.now.value + 15
    assert high.now.low <= high.now.value <= high.now.high
    play(on, [[UpsertNode("new", [2.0, 0.0])]], 202)
    assert ask(on, "new").node.now.value > high.now.value + 2


def test_a_node_is_answered_alike_to_the_byte_whichever_others_are_asked_for_with_it() -> None:
    on = engine()
    play(on, houses(40, 3))
    nodes = [f"h{at}" for at in range(200)]
    together = on.node_values.answers(on.graph, [*nodes, "unknown", "h7"], None, 10_000).nodes
    assert together[:200] == [ask(on, node) for node in nodes]
    assert together[200:] == ["unknown-node", together[7]]


def test_no_more_edges_are_read_than_may_be() -> None:
    on = engine()
    play(on, houses(40, 4))
    play(on, [[UpsertEdge("hub", f"h{at}") for at in range(150)]], 100)
    found = on.node_values.answers(on.graph, ["h1", "hub", "h2"], None, 60)
    assert [each if isinstance(each, str) else each.task for each in found.nodes] == ["price", "too-large", "price"]
    assert found.need > 300  # it is directed in no way, and read from both ends
    small = engine(most_read=100)
    play(small, houses(40, 4))
    play(small, [[UpsertEdge("hub", f"h{at}") for at in range(150)], [LabelNode("hub", value=1.0)]], 100)
    assert report(small).labels == 201
    assert report(small).scored < report(engine_after(houses(40, 4))).scored + 1


def engine_after(stream: list[list[Event]]) -> Engine:
    on = engine()
    play(on, stream)
    return on


@pytest.mark.parametrize("cut", [1, 30, 70])
def test_a_restored_engine_goes_on_to_the_same_bytes(cut: int) -> None:
    stream = houses(80, 5)
    stream[40] += [RemoveNode("h30"), RemoveNode("h199")]
    stream[60] += [UpsertNode("h30", [1.0, 1.0]), UpsertNode("h280", [9.0, 1.0]), LabelNode("h100", value=-3.5)]
    stream[61].append(UpsertNode("h301", value=700.0))
    whole, begun = engine(arrivals_remembered=150), engine(arrivals_remembered=150)
    play(whole, stream)
    play(begun, stream[:cut])
    tensors, values = begun.state()
    values = json.loads(json.dumps(values))
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    restored = Engine.restore(EngineConfig(arrivals_remembered=150), tensors, values, torch.device("cpu"))
    play(restored, stream[cut:], cut + 1)
    assert bytes_of(restored) == bytes_of(whole)
    assert restored.node_values.reports() == whole.node_values.reports()


def test_a_graph_without_such_a_task_keeps_its_state() -> None:
    on = engine(GraphSchema(tasks={"fraud": EdgeClassTask(kind="edge_class")}))
    play(on, [[UpsertEdge("a", "b", label="ok")]])
    tensors, values = on.state()
    assert "node_values" not in values
    assert not any(name.startswith("node_values") for name in tensors)
    assert on.node_values.answers(on.graph, ["a", "z"], None, 9).nodes == ["no-task", "unknown-node"]


def test_nothing_is_answered_before_a_few_values() -> None:
    on = engine()
    values: list[Event] = [UpsertNode(f"x{at}", value=float(at)) for at in range(FEW_VALUES)]
    play(on, [values[:-1]])
    assert on.node_values.answers(on.graph, ["x1"], None, 10).nodes == ["no-model"]
    play(on, [values[-1:]], 2)
    now = ask(on, "x1").node.now
    assert 0 <= now.low <= now.value <= now.high <= FEW_VALUES - 1
    assert ask(on, "x1").node.truth == 1.0
    assert report(on).scored == 0
    assert on.node_values.answers(on.graph, ["x1"], "other", 10).nodes == ["no-task"]


def test_another_value_replaces_the_first_and_a_node_that_left_has_none() -> None:
    on = engine()
    play(on, houses(40, 6))
    before = report(on)
    play(on, [[LabelNode("h3", value=7.0), UpsertNode("h4", value=8.0)]], 100)
    assert (report(on).scored, report(on).labels) == (before.scored, before.labels)
    assert [ask(on, node).node.truth for node in ("h3", "h4")] == [7.0, 8.0]
    play(on, [[RemoveNode("h3")], [UpsertNode("h3", [0.0, 0.0])]], 101)
    assert ask(on, "h3").node.truth is None
    assert report(on).waiting == 1


def test_a_value_that_cannot_be_taken_is_rejected() -> None:
    schema = GraphSchema(
        node_types={"house": NodeType(feature_width=2), "street": NodeType()},
        tasks={"price": NodeValueTask(kind="node_value", node_type="house")},
    )
    on = engine(schema)
    play(on, [[UpsertNode("h", [1.0, 2.0], type="house", value=1.0), UpsertNode("s", type="street")]])
    outcome = on.apply("9-0", [LabelNode("s", value=1.0), LabelNode("none", value=1.0), LabelNode("h", value=2.0)], 9.0)
    rejected = on.take_publication().rejected
    assert [(each.index, each.op, each.reason) for each in rejected] == [
        (0, "label", "unknown-type"),
        (1, "label", "unknown-node"),
    ]
    assert outcome.rejected == 2
    assert report(on).labels == 1
    assert on.graph.classes == []
    assert on.node_values.answers(on.graph, ["h", "s"], None, 10).nodes == ["no-model", "no-task"]


def test_a_node_of_no_type_arrives_when_it_gets_one() -> None:
    schema = GraphSchema(
        node_types={"house": NodeType(feature_width=2), "street": NodeType()},
        edge_types={"on": EdgeType()},
        tasks={"price": NodeValueTask(kind="node_value", node_type="house")},
    )
    on = engine(schema)
    play(on, [[UpsertNode("s", type="street"), UpsertEdge("h", "s", type="on")]])
    assert report(on).arrived == 0
    play(on, [[UpsertNode("h", [1.0, 2.0], type="house")], [UpsertNode("h", [3.0, 2.0], type="house")]], 2)
    assert report(on).arrived == 1


def test_a_task_and_inputs_may_be_declared_later() -> None:
    """Nodes that are there have values without an arrival; features and types of edges that come are inputs."""
    stream = houses(120, 7)
    plain: list[list[Event]] = [[e for e in entry if not isinstance(e, LabelNode)] for entry in stream[:20]]
    on = engine(GraphSchema())
    play(on, plain)
    on.declare("21-0", GraphSchema(tasks=SCHEMA.tasks))
    play(on, [[e for entry in stream[:20] for e in entry if isinstance(e, LabelNode)]], 22)
    assert (report(on).arrived, report(on).scored) == (0, 0)
    assert report(on).labels > 50
    before = ask(on, "h60").node.now
    on.declare("23-0", GraphSchema(edge_types={"edge": EdgeType(), "beside": EdgeType(directed=True)}))
    again = ask(on, "h60").node.now
    assert again.value == pytest.approx(before.value, abs=6)
    play(on, [[UpsertEdge("h1", "h2", type="beside")], *stream[20:]], 24)
    found = report(on).recent
    assert found.r2 is not None
    assert found.r2 > 0.7


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"price": NodeValueTask(kind="node_value", coverage=0.5)}, "tasks.price.coverage is another one, which stays"),
        ({"price": EdgeClassTask(kind="edge_class")}, "price is node_value of nodes of the type 'node', which stays"),
        ({"x": NodeValueTask(kind="node_value")}, "nodes of the type 'node' have the task 'price'"),
        ({"x": NodeValueTask(kind="node_value", node_type="car")}, "'car' is not declared in node_types"),
    ],
)
def test_what_a_task_is_about_stays(change: dict[str, Task], problem: str) -> None:
    with pytest.raises(SchemaConflict, match=problem):
        after_declaration(HeldSchema(**SCHEMA.model_dump()), GraphSchema(tasks=change))
    beside = GraphSchema(tasks={"fraud": EdgeClassTask(kind="edge_class")})
    assert set(after_declaration(HeldSchema(**SCHEMA.model_dump()), beside).tasks) == {"price", "fraud"}


def test_a_value_is_not_that_of_a_node_that_comes_after_the_removal() -> None:
    """All three stand in one entry. A value whose node leaves with its entry is no fault of the sender."""
    on = engine()
    play(on, houses(20, 6))
    before = on.rejected_events, report(on).labels
    play(on, [[UpsertNode("new", [0.0, 0.0], value=5.0), RemoveNode("new"), UpsertNode("new", [1.0, 1.0])]], 100)
    assert ask(on, "new").node.truth is None
    play(on, [[LabelNode("h3", value=7.0), RemoveNode("h3")]], 101)
    assert (on.rejected_events, report(on).labels) == before
    play(on, [[RemoveNode("new"), UpsertNode("new", [1.0, 1.0]), LabelNode("new", value=6.0)]], 102)
    assert ask(on, "new").node.truth == 6.0


def test_a_node_with_too_many_edges_leaves_the_others_of_a_request_their_answers() -> None:
    on = engine()
    play(on, houses(20, 6))
    play(on, [[UpsertNode("hub", [0.0, 0.0]), *(UpsertEdge("hub", f"h{at}") for at in range(60))]], 100)
    found = on.node_values.answers(on.graph, ["hub", "h98", "h99"], None, 100)
    assert found.nodes[0] == "too-large"
    assert found.nodes[1:] == [ask(on, "h98"), ask(on, "h99")]
    assert found.work < 100 < found.need
