"""Tasks on links: edges are ranked before they are applied, partners are scored exactly, repeatable to the byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph.arriving_edges import arriving_edges
from olad_core.graph_types import EdgeType
from olad_core.link_tasks import LinkAnswer, LinkReport
from olad_core.schema import HeldSchema, SchemaConflict, after_declaration
from olad_core.task_types import EdgeClassTask, LinkTask, Task
from olad_core.tasks.link.ends import Ends
from tests.olad_core import task_engines
from tests.olad_core.task_engines import bytes_of, play

TYPES = {"buys": EdgeType(directed=True, ids=True), "knows": EdgeType(directed=False)}
SCHEMA = GraphSchema(
    edge_types=TYPES,
    tasks={"next": LinkTask(kind="link", edge_type="buys"), "friends": LinkTask(kind="link", edge_type="knows")},
)


def engine(schema: GraphSchema = SCHEMA, **changes: Any) -> Engine:
    return task_engines.engine(schema, **changes)


def purchases(entries: int, seed: int, kind: str = "buys") -> list[list[Event]]:
    """Buyers of two tastes: who has bought of one buys of it again, and all things are as popular."""
    draw = np.random.default_rng(seed)
    stream: list[list[Event]] = []
    for at in range(entries):
        events: list[Event] = []
        for place in range(5):
            buyer = int(draw.integers(60))
            thing = 2 * int(draw.integers(100)) + buyer % 2
            name = f"e{5 * at + place}" if kind == "buys" else None
            events.append(UpsertEdge(f"b{buyer}", f"t{thing}", None, float(at), kind, name))
        stream.append(events)
    return stream


def report_of(on: Engine, edge_type: str) -> LinkReport:
    return next(each for each in on.link_tasks.reports() if each.edge_type == edge_type)


def test_tastes_are_found_where_popularity_shows_nothing() -> None:
    """Half of the negatives are of the other taste: without them the rank would be half, so MRR nearly double."""
    on = engine()
    play(on, purchases(300, 0))
    report = report_of(on, "buys")
    assert report.arrived == 1_500
    assert 1_000 < report.scored < 1_500
    assert report_of(on, "knows").arrived == 0
    learned, rules = report.recent["learned"], [report.recent[rule] for rule in ("popularity", "last_seen")]
    assert learned is not None
    for rule in rules:
        assert rule is not None
        assert learned.mrr > 1.4 * rule.mrr
    found = on.link_tasks.partners(on.graph, "buys", "b0", 50, linked=False)
    assert isinstance(found, LinkAnswer)
    assert np.mean([int(name[1:]) % 2 == 0 for name in found.nodes]) > 0.9


def test_an_edge_is_ranked_without_itself_and_without_the_rest_of_its_entry() -> None:
    on = engine()
    play(on, purchases(100, 1))
    task, source, target = on.link_tasks._tasks["next"], on.graph.rows(["b0"]), on.graph.rows(["t1"])
    before = task.learner.inputs(on.graph, source, target[None], np.array([100.0]))
    edges: list[Event] = [UpsertEdge("b0", "t1", None, 100.0, "buys", f"last{number}") for number in range(3)]
    one, all_three = (arriving_edges(on.graph, "buys", events, 101.0) for events in (edges[:1], edges))
    alone = task.predict(on.graph, "101-0", one).ranked
    three = task.predict(on.graph, "101-0", all_three).ranked
    np.testing.assert_array_equal(alone.inputs[0, :1], before[0])
    np.testing.assert_array_equal(three.inputs[0], alone.inputs[0])
    np.testing.assert_array_equal(three.ranks[0], alone.ranks[0])
    assert not np.array_equal(task.predict(on.graph, "102-0", all_three).ranked.inputs, three.inputs)


@pytest.mark.parametrize("kind", ["buys", "knows"])
def test_a_restored_engine_continues_with_the_same_bytes(kind: str) -> None:
    entries = purchases(60, 2, kind)
    entries[40].append(RemoveNode("t4"))
    entries[45].append(UpsertNode("new"))
    whole = engine()
    play(whole, entries)
    half = engine()
    play(half, entries[:30])
    tensors, values = half.state()
    values = json.loads(json.dumps(values))
    again = Engine.restore(
        EngineConfig(), {name: tensor.clone() for name, tensor in tensors.items()}, values, half.device
    )
    play(again, entries[30:], 31)
    assert bytes_of(again) == bytes_of(whole)
    assert report_of(again, kind) == report_of(whole, kind)
    assert report_of(whole, kind).scored > 60


def test_of_a_large_entry_some_edges_are_ranked_and_all_are_remembered() -> None:
    on, entries = engine(arrivals_scored=50), purchases(120, 6)
    play(on, entries[:20])
    task = on.link_tasks._tasks["next"]
    ranked = task.learner._ranked
    play(on, [[event for entry in entries[20:] for event in entry]], 21)
    assert task.learner._ranked == ranked + 50
    assert report_of(on, "buys").arrived == 600
    assert task.learner.ends.count.sum() == 2 * 600


def test_a_graph_without_the_task_keeps_its_bytes() -> None:
    plain = engine(GraphSchema(edge_types=TYPES))
    play(plain, purchases(10, 3))
    assert not any("link" in name for name in bytes_of(plain))
    assert "link_tasks" not in plain.state()[1]
    assert plain.link_tasks.score(plain.graph, "buys", "b0", ["t1"]) == "no-task"


def test_partners_are_the_best_of_all_scores() -> None:
    on = engine()
    play(on, purchases(80, 4))
    listed = on.link_tasks.partners(on.graph, "buys", "b3", 7, linked=True)
    assert isinstance(listed, LinkAnswer)
    things = [f"t{number}" for number in range(200) if on.graph.rows([f"t{number}"])[0] >= 0]
    scored = on.link_tasks.score(on.graph, "buys", "b3", things)
    assert isinstance(scored, LinkAnswer)
    best = dict(sorted(zip(scored.nodes, scored.scores, strict=True), key=lambda pair: -pair[1])[:7])
    assert listed.nodes == [*best]
    np.testing.assert_allclose(listed.scores, [*best.values()], rtol=1e-5)
    assert (listed.scored, listed.all) == (len(things), True)
    bought = {name for name, linked in zip(scored.nodes, scored.linked, strict=True) if linked}
    others = on.link_tasks.partners(on.graph, "buys", "b3", 200, linked=False)
    assert isinstance(others, LinkAnswer)
    assert set(others.nodes) == set(things) - bought
    assert bought
    assert not any(others.linked)
    assert on.link_tasks.partners(on.graph, "buys", "nobody", 3, linked=False) == "unknown-node"
    assert on.link_tasks.score(on.graph, "knows", "b3", ["t1"]) == "few-edges"


def test_of_too_many_candidates_some_are_scored() -> None:
    on = engine()
    play(on, purchases(80, 5))
    whole = on.link_tasks.partners(on.graph, "buys", "b3", 5, linked=True)
    some = on.link_tasks.partners(on.graph, "buys", "b3", 5, linked=True, most_scored=60)
    assert isinstance(whole, LinkAnswer)
    assert isinstance(some, LinkAnswer)
    assert 5 < some.scored <= 60 < whole.scored
    assert not some.all
    assert some.scores[0] <= whole.scores[0] + 1e-6


def test_a_node_that_left_is_no_candidate_and_comes_back_as_another() -> None:
    ends = Ends(directed=True)
    rows = np.arange(6)
    ends.arrive(rows, rows[::-1].copy(), np.ones(6))
    ends.forget(np.array([2, 99]))
    assert sorted(ends.targets.tolist()) == [0, 1, 3, 4, 5]
    assert ends.is_target(np.array([2, 3, -1])).tolist() == [False, True, False]
    numbers = ends.number.copy()
    ends.arrive(np.array([2]), np.array([2]), np.ones(1))
    assert ends.number[2] == numbers.max() + 1
    assert sorted(ends.targets.tolist()) == rows.tolist()


def test_a_type_has_one_task_on_links_beside_another_one() -> None:
    schema = after_declaration(HeldSchema(), SCHEMA)
    classes: dict[str, Task] = {"fraud": EdgeClassTask(kind="edge_class", edge_type="buys", classes=("ok",))}
    schema = after_declaration(schema, GraphSchema(tasks=classes))
    assert [*schema.tasks] == ["next", "friends", "fraud"]
    with pytest.raises(SchemaConflict, match="have the task 'next'"):
        after_declaration(schema, GraphSchema(tasks={"more": LinkTask(kind="link", edge_type="buys")}))
    with pytest.raises(SchemaConflict, match="which stays"):
        after_declaration(schema, GraphSchema(tasks={"fraud": LinkTask(kind="link", edge_type="buys")}))
