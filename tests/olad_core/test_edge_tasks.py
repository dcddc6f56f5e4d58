"""Tasks on edges: predicted before they are applied, scored when the label comes, repeatable to the byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from olad_core.config import EngineConfig
from olad_core.edge_tasks import TaskAnswer
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge
from olad_core.graph_types import EdgeType
from olad_core.task_types import EdgeClassTask
from olad_core.tasks.edge_class import Asked, Head, History
from tests.olad_core import task_engines
from tests.olad_core.task_engines import bytes_of, play

SCHEMA = GraphSchema(
    edge_types={"paid": EdgeType(directed=True), "moved": EdgeType(ids=True), "knows": EdgeType(directed=False)},
    tasks={
        "fraud": EdgeClassTask(kind="edge_class", edge_type="paid", classes=("ok", "fraud")),
        "by_id": EdgeClassTask(kind="edge_class", edge_type="moved"),
        "both_ways": EdgeClassTask(kind="edge_class", edge_type="knows"),
    },
)


def engine(schema: GraphSchema = SCHEMA, **changes: Any) -> Engine:
    return task_engines.engine(schema, **changes)


def payments(entries: int, seed: int, kind: str = "paid", delay: int = 3) -> list[list[Event]]:
    """Frauds are what a few thieves pay; labels come some entries later."""
    draw = np.random.default_rng(seed)
    stream: list[list[Event]] = [[] for _ in range(entries + delay)]
    number = 0
    for at in range(entries):
        for _ in range(5):
            source, target = draw.integers(30), 30 + draw.integers(400)
            name = f"p{number}" if kind == "moved" else None
            number += 1
            stream[at].append(UpsertEdge(f"n{source}", f"n{target}", float(draw.integers(1, 9)), float(at), kind, name))
            label = "fraud" if source < 6 else "ok"
            ends = (None, None) if name else (f"n{source}", f"n{target}")
            stream[at + delay].append(
                LabelNode(label=label, src=ends[0], dst=ends[1], edge=name, type=kind, ts=float(at + delay))
            )
    return stream


def ask(on: Engine, source: str, target: str, kind: str = "paid") -> TaskAnswer:
    answer = on.edge_tasks.answer(on.graph, kind, (source, target), None, 1.0)
    assert isinstance(answer, TaskAnswer)
    return answer


@pytest.mark.parametrize("kind", ["paid", "moved", "knows"])
def test_thieves_are_found_out(kind: str) -> None:
    on = engine()
    play(on, payments(120, 0, kind))
    report = next(each for each in on.edge_tasks.reports() if each.edge_type == kind)
    assert report.arrived == report.labels > 550
    assert not report.waiting
    fraud = next(row for row in report.report.classes if row.name == "fraud")
    assert fraud.whole.average_precision is not None
    assert fraud.whole.average_precision > 0.6  # a fifth is fraud
    assert report.scores.log_loss[1] < report.scores.log_loss[0]
    thief, other = ask(on, "n1", "n999", kind).edge, ask(on, "n20", "n999", kind).edge
    assert thief.probabilities["fraud"] > 0.6
    assert other.probabilities["fraud"] < 0.2
    assert thief.at_arrival is None
    assert not thief.remembered


def test_nothing_of_the_future_reaches_a_prediction() -> None:
    """What is answered at arrival stays the same whatever comes in the same entry after it, or later."""
    stream = payments(60, 1)
    one, other = engine(), engine()
    play(one, stream[:50])
    play(other, stream[:50])
    edge = UpsertEdge("n2", "n777", 3.0, 51.0, "paid")
    expected = one.edge_tasks.answer(one.graph, "paid", ("n2", "n777"), None, 3.0)
    assert isinstance(expected, TaskAnswer)
    truth = LabelNode(label="fraud", src="n2", dst="n777", type="paid")
    play(one, [[edge]], 51)
    play(other, [[edge, truth, UpsertEdge("n2", "n778", type="paid", label="ok")], *stream[50:]], 51)
    answers = [each.edge_tasks.answer(each.graph, "paid", ("n2", "n777"), None, 1.0) for each in (one, other)]
    arrived = [answer.edge.at_arrival for answer in answers if isinstance(answer, TaskAnswer)]
    assert arrived[0] == arrived[1]
    assert answers[1].edge.truth == "fraud"  # type: ignore[union-attr]


def test_a_new_edge_is_answered_as_it_is_at_arrival() -> None:
    on = engine()
    play(on, payments(60, 2))
    time = on.graph.clock
    before = ask(on, "n3", "n900").edge.probabilities
    play(on, [[UpsertEdge("n3", "n900", 1.0, time, "paid")]], 100)
    after = ask(on, "n3", "n900").edge
    assert after.remembered
    assert after.at_arrival == before
    assert after.probabilities == pytest.approx(before, abs=0.05)


@pytest.mark.parametrize("cut", [3, 40, 70])
def test_a_restored_engine_goes_on_to_the_same_bytes(cut: int) -> None:
    streams = payments(80, 3), payments(80, 4, "moved"), payments(80, 5, "knows")
    stream = [[*a, *b, *c] for a, b, c in zip(*streams, strict=True)]
    stream[30].append(RemoveNode("n3"))
    stream[60] += [RemoveNode("n40"), RemoveEdge(type="moved", id="p299")]
    stream[61].append(UpsertEdge("n1", "n2", 1.0, None, "moved", "p299"))
    stream[62].append(LabelNode(label="third", edge="p299", type="moved"))
    whole, begun = engine(arrivals_remembered=150), engine(arrivals_remembered=150)
    play(whole, stream)
    play(begun, stream[:cut])
    tensors, values = begun.state()
    values = json.loads(json.dumps(values))
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    restored = Engine.restore(EngineConfig(arrivals_remembered=150), tensors, values, torch.device("cpu"))
    play(restored, stream[cut:], cut + 1)
    assert bytes_of(restored) == bytes_of(whole)


def test_labels_that_cannot_be_taken_are_rejected() -> None:
    on = engine()
    play(on, [[UpsertEdge("a", "b", type="paid"), UpsertEdge("a", "b", type="moved", id="m")]])
    classes = [UpsertEdge("a", f"c{number}", type="knows", label=f"class {number}") for number in range(17)]
    outcome = on.apply(
        "2-0",
        [
            LabelNode(label="ok", src="b", dst="a", type="paid"),
            LabelNode(label="ok", edge="n", type="moved"),
            LabelNode(label="ok", src="a", dst="b", type="paid"),
            *classes,
        ],
        2.0,
    )
    assert outcome.rejected == 3
    on.refresh()
    rejected = on.take_publication().rejected
    assert [(each.index, each.reason) for each in rejected] == [
        (0, "unknown-edge"),
        (1, "unknown-edge"),
        (19, "too-many-classes"),
    ]
    assert "from 'b' to 'a'" in rejected[0].detail


def test_an_edge_is_scored_once_and_may_get_another_label() -> None:
    on = engine()
    play(on, [[UpsertEdge("a", "b", type="paid", label="ok")], [UpsertEdge("a", "b", type="paid", label="fraud")]])
    report = on.edge_tasks.reports()[0]
    assert (report.arrived, report.labels, report.scores.scored[0]) == (1, 1, 1)
    learner = on.edge_tasks._tasks["fraud"].learner
    assert learner.history.total.tolist() == [0, 1]


def test_why_there_is_no_answer() -> None:
    on = engine()
    graph = on.graph
    assert on.edge_tasks.answer(graph, "owns", ("a", "b"), None, 1.0) == "no-task"
    assert on.edge_tasks.answer(graph, "moved", None, "m", 1.0) == "unknown-edge"
    assert on.edge_tasks.answer(graph, "paid", ("a", "b"), None, 1.0) == "no-model"


def test_a_graph_without_tasks_has_no_state_of_them() -> None:
    on = engine(GraphSchema())
    play(on, [[UpsertEdge("a", "b")]])
    tensors, values = on.state()
    assert "edge_tasks" not in values
    assert not [name for name in tensors if "task" in name]


def test_the_head_descends_along_its_gradient() -> None:
    """Against differences of the loss, on one batch that all members draw."""
    draw = np.random.default_rng(0)
    history = History(2)
    ends = draw.integers(20, size=(60, 2))
    asked = Asked(ends[:, 0], ends[:, 1], draw.uniform(1, 9, 60), np.arange(60.0), np.full(60, -2), np.full(60, -2))
    history.arrive(asked)
    inputs, labels = history.inputs(asked, draw.normal(size=(60, 3)).astype(np.float32)), draw.integers(2, size=60)
    head, shares = Head(2, 0, 3), np.array([0.5, 0.5], np.float32)
    head.observe(inputs)
    losses = []
    for _ in range(300):
        chosen = head.probabilities(inputs, shares)[np.arange(60), labels]
        losses.append(-np.log(chosen).mean())
        head.learn(inputs, labels, shares)
    assert losses[0] == pytest.approx(np.log(2), abs=1e-6)
    assert losses[-1] < 0.5 * losses[0]


def test_edges_without_a_time_count_from_the_time_that_the_graph_gives_them() -> None:
    """The clock of arrivals has gone back meanwhile, which that of the graph does not."""
    on = engine()
    for number, (arrival, target) in enumerate([(100.0, "x"), (40.0, "y"), (60.0, "z")], 1):
        on.apply(f"{number}-0", [UpsertEdge("a", target, type="paid")], arrival)
    assert on.graph.clock == 120.0
    last = on.edge_tasks._tasks["fraud"].learner.history.state()["last"]
    assert last[on.graph.row("a")].max() == 120.0


@pytest.mark.parametrize("delay", [0, 40])
def test_labels_that_nothing_explains_cost_little_beside_the_shares_of_the_classes(delay: int) -> None:
    draw, on, numbers = np.random.default_rng(0), engine(), range(1_500)
    edges = [UpsertEdge(f"n{draw.integers(40)}", f"m{at}", 1.0, float(at), "paid") for at in numbers]
    labels = ["fraud" if draw.random() < 0.05 else "ok" for _ in numbers]
    truths = [
        LabelNode(label=label, src=edge.src, dst=edge.dst, type="paid")
        for edge, label in zip(edges, labels, strict=True)
    ]
    entries: list[list[Event]] = [[] for _ in range(75 + delay)]
    for at in numbers:
        entries[at // 20].append(edges[at])
        entries[at // 20 + delay].append(truths[at])
    play(on, entries)
    shares, answered = on.edge_tasks.reports()[0].scores.log_loss
    assert answered < shares + 0.03


def test_rare_frauds_whose_labels_come_late_are_not_answered_too_often() -> None:
    """The first answers after the first labels already have about the share that is true."""
    stream, on = payments(240, 7, delay=60), engine()
    given = []
    for number, entry in enumerate(stream, 1):
        play(on, [entry], number)
        if 62 <= number <= 100:
            edges = [each for each in entry if isinstance(each, UpsertEdge)]
            answers = [
                on.edge_tasks.answer(on.graph, "paid", (str(each.src), str(each.dst)), None, 1.0) for each in edges
            ]
            given += [
                each.edge.at_arrival["fraud"]
                for each in answers
                if isinstance(each, TaskAnswer) and each.edge.at_arrival
            ]
    assert len(given) > 150
    assert 0.1 < np.mean(given) < 0.3  # a fifth is fraud
    shares, answered = on.edge_tasks.reports()[0].scores.log_loss
    assert answered < 0.8 * shares


def test_a_state_of_before_the_shares_were_a_part_of_the_head_is_taken_over() -> None:
    """Its weights are of another form, so the head learns again from the labels that are remembered."""
    on = engine()
    play(on, payments(60, 6))
    arrays, values = on.edge_tasks.state()
    for learned in values.values():
        del learned["head"]["adds_to_shares"]
    old = {name: array for name, array in arrays.items() if not name.endswith(("shares", "own", "losses"))}
    other = engine()
    play(other, payments(1, 6))
    other.edge_tasks.restore(other.graph, old, values)
    assert other.edge_tasks.reports()[0].steps > 20
    play(other, payments(60, 7), 100)
    assert other.edge_tasks.reports()[0].labels > on.edge_tasks.reports()[0].labels


TYPED = GraphSchema(
    edge_types={"paid": EdgeType(directed=True, ids=True), "used": EdgeType()},
    tasks={"fraud": EdgeClassTask(kind="edge_class", edge_type="paid", classes=("ok", "fraud"))},
)


def stolen_devices(entries: int, seed: int) -> list[list[Event]]:
    """A fifth of the accounts is fraud's, each account pays once: only the device shows it, which is sent before."""
    draw = np.random.default_rng(seed)
    stream: list[list[Event]] = [[] for _ in range(entries + 2)]
    for number in range(5 * entries):
        fraud, at = draw.random() < 0.2, number // 5
        device = draw.integers(10) if fraud else 10 + draw.integers(200)
        stream[at] += [
            UpsertEdge(f"a{number % 400}", f"d{device}", type="used"),
            UpsertEdge(f"a{number % 400}", f"m{draw.integers(50)}", type="paid", id=f"p{number}"),
        ]
        stream[at + 2].append(LabelNode(label="fraud" if fraud else "ok", edge=f"p{number}", type="paid"))
    return stream


def test_frauds_that_only_the_edges_of_another_type_show_are_found() -> None:
    typed, blind = engine(TYPED), engine(TYPED)
    stream = stolen_devices(160, 0)
    play(typed, stream)
    play(blind, [[event for event in entry if getattr(event, "type", None) != "used"] for entry in stream])
    found, without = (on.edge_tasks.reports()[0].report.classes[1].whole.average_precision for on in (typed, blind))
    assert found is not None
    assert without is not None
    assert found > without + 0.2
    play(typed, [[UpsertEdge("new", "d1", type="used"), UpsertEdge("old", "d100", type="used")]], 500)
    thief, other = ask(typed, "new", "m1").edge.probabilities, ask(typed, "old", "m1").edge.probabilities
    assert thief["fraud"] > 2 * other["fraud"]


def test_edges_of_other_types_count_where_they_stand_before_the_edge_in_its_entry() -> None:
    ons = [engine(TYPED) for _ in range(3)]
    for on in ons:
        play(on, stolen_devices(80, 1))
    use, paid = UpsertEdge("a1", "d1", type="used"), UpsertEdge("a1", "m1", type="paid", id="new", ts=200.0)
    for on, entries in zip(ons, ([[use, paid]], [[use], [paid]], [[paid, use]]), strict=True):
        play(on, entries, 200)
    before, apart, after = (on.edge_tasks.answer(on.graph, "paid", None, "new", 1.0) for on in ons)
    assert isinstance(before, TaskAnswer)
    assert isinstance(apart, TaskAnswer)
    assert isinstance(after, TaskAnswer)
    assert before.edge.at_arrival == apart.edge.at_arrival != after.edge.at_arrival


def test_a_label_is_corrected_after_its_ends_were_joined_to_others() -> None:
    on = engine(TYPED)
    play(on, stolen_devices(80, 1))
    used = [UpsertEdge(f"a{number}", "d1", type="used") for number in range(400)]
    relabelled: list[Event] = [LabelNode(label="ok", edge=f"p{number}", type="paid") for number in range(400)]
    play(on, [used, relabelled], 200)
    play(on, stolen_devices(40, 2), 202)
    assert np.isfinite([*ask(on, "a1", "m1").edge.probabilities.values()]).all()
