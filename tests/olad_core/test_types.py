"""An engine on a graph whose nodes and edges have types: exact, restored in the same bytes, and of use."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from tests.device import DEVICE
from tests.olad_core.runs import CONFIG, PAIR, Run, stream
from tests.olad_core.test_engine import assert_same_state, comparable
from tests.olad_core.test_new_group import assert_exact

TYPES = {"knows": EdgeType(), "sent": EdgeType(directed=True, lifetime=30.0), "used": EdgeType(directed=False)}
WITH_TABLES = {
    "knows": EdgeType(feature_width=2),
    "sent": EdgeType(directed=True, lifetime=30.0, ids=True, feature_width=1),
    "used": EdgeType(ids=True),
}
SCHEMA = GraphSchema(edge_types=TYPES)
NODE_TYPES = {"account": NodeType(feature_width=3), "payment": NodeType(feature_width=2), "device": NodeType()}
BOTH = GraphSchema(edge_types=TYPES, node_types=NODE_TYPES)


def typed(batches: list[list[Event]], *, nodes: bool = False) -> list[list[Event]]:
    """The batches with types on their edges, and on nodes too if wanted, and times that let some edges leave."""
    draw = np.random.default_rng(1)
    for number, batch in enumerate(batches):
        for event in batch:
            if isinstance(event, UpsertEdge | RemoveEdge):
                event.type = draw.choice([*TYPES]).item()
            if isinstance(event, UpsertEdge):
                event.ts = 5.0 * number
            if isinstance(event, UpsertNode) and nodes:
                event.type = [*NODE_TYPES][zlib.crc32(str(event.id).encode()) % 3]
                width = NODE_TYPES[event.type].feature_width
                event.x = event.x[:width] if isinstance(event.x, list) and width else None
    return batches


def kept_one_by_one(batches: list[list[Event]]) -> list[list[Event]]:
    """The batches with ids and features on edges, as their types have."""
    draw = np.random.default_rng(2)
    for event in (event for batch in batches for event in batch):
        if isinstance(event, UpsertEdge | RemoveEdge) and WITH_TABLES[event.type or ""].ids:
            event.id = f"{event.src} {event.dst} {draw.integers(2)}"
        if isinstance(event, UpsertEdge) and (width := WITH_TABLES[event.type or ""].feature_width):
            event.x = draw.normal(scale=3, size=width).tolist()
        if isinstance(event, RemoveEdge) and event.id is not None:
            event.src = event.dst = None
    return batches


def begun(config: object = CONFIG, schema: GraphSchema = SCHEMA) -> Run:
    run = Run(config)  # type: ignore[arg-type]
    run.engine.declare("0-1", schema)
    return run


@pytest.mark.parametrize(("nodes", "tables"), [(False, False), (True, False), (True, True)])
def test_what_is_served_is_exact_and_an_engine_restored_from_disk_goes_on_in_the_same_bytes(
    tmp_path: Path, nodes: bool, tables: bool
) -> None:
    batches = typed(stream(5), nodes=nodes)
    batches = kept_one_by_one(batches) if tables else batches
    schema = GraphSchema(edge_types=WITH_TABLES if tables else TYPES, node_types=NODE_TYPES if nodes else {})
    whole = begun(CONFIG, schema)
    for batch in batches[:12]:
        whole.turn(batch, steps=2)
    path = write_checkpoint(tmp_path, *whole.engine.state(), keep=1)
    assert f'"format": {9 if tables else 8}' in (path / "manifest.json").read_text()
    checkpoint = read_checkpoint(path)
    run = Run(engine=Engine.restore(CONFIG, checkpoint.tensors, checkpoint.values, DEVICE))
    done = len(whole.published)
    for batch in batches[12:]:
        for each in (whole, run):
            each.turn(batch, steps=2)
        if whole.engine.versions.served:
            assert_exact(whole)
    assert whole.engine.versions.served is not None
    assert whole.engine.versions.served.embedding.student.relations == 3
    assert whole.engine.versions.served.embedding.student.edge_width == (2 if tables else 0)
    assert whole.engine.versions.served.embedding.student.type_widths == ((3, 2, 0) if nodes else ())
    assert [comparable(each) for each in run.published] == [comparable(each) for each in whole.published[done:]]
    assert_same_state(run.engine, whole.engine)


def test_types_that_are_declared_later_begin_new_students_beside_what_is_served() -> None:
    run = Run(PAIR)
    batches = stream(7, turns=20)
    for batch in batches[:10]:
        run.turn(batch, steps=3)
    served = run.engine.versions.served
    assert served is not None
    run.engine.declare("50-0", SCHEMA)
    for batch in typed(batches[10:14]):
        run.turn(batch)
        assert_exact(run)
    assert run.engine.versions.served is served
    assert run.engine.trainer is not None
    for batch in typed(batches[14:]):
        run.turn(batch, steps=3)
    assert run.engine.trainer.group.shape.relations == 4, "edges that name no type, and the three that were declared"
    reasons = [decision.reason for decision in run.engine.decisions.newest_first()]
    assert "edges have 4 types now: all students get new weights" in reasons
    assert_exact(run)


def test_features_of_edges_that_are_declared_later_begin_new_students() -> None:
    run = Run(PAIR)
    run.turn([UpsertNode(f"n{at}", [float(at)], "ab"[at % 2]) for at in range(40)], steps=3)
    run.engine.declare("50-0", GraphSchema(edge_types={"edge": EdgeType(feature_width=2)}))
    run.turn([], steps=3)
    assert run.engine.trainer is not None
    assert run.engine.trainer.group.shape.edge_width == 2
    [restarted] = [each for each in run.engine.decisions.newest_first() if each.kind == "group-restarted"]
    assert restarted.reason == "edges have 2 features now: all students get new weights"
    assert restarted.numbers == {"edge_features": 2}


def test_types_of_nodes_that_are_added_leave_what_is_served_exact() -> None:
    run = begun(PAIR, BOTH)
    batches = typed(stream(7, turns=16), nodes=True)
    for batch in batches[:10]:
        run.turn(batch, steps=3)
    served = run.engine.versions.served
    assert served is not None
    run.engine.declare("50-0", GraphSchema(edge_types=TYPES, node_types={"shop": NodeType(feature_width=1)}))
    for number, batch in enumerate(batches[10:]):
        run.turn([*batch, UpsertNode(f"shop {number}", [float(number)], type="shop")])
        assert_exact(run)
    assert run.engine.versions.served is served
    run.turn([], steps=3)
    assert run.engine.trainer is not None
    assert run.engine.trainer.group.shape.type_widths == (3, 2, 0, 1)


def test_the_features_of_each_type_have_a_scale_of_their_own() -> None:
    draw = np.random.default_rng(3)
    run = begun(PAIR, GraphSchema(node_types=NODE_TYPES))
    events: list[Event] = []
    for node in range(60):
        x = draw.normal(size=3)
        events.append(UpsertNode(f"a{node}", (1e4 * x).tolist(), f"class {node % 2}", type="account"))
        events.append(UpsertNode(f"p{node}", (1e-3 * x[:2]).tolist(), f"class {node % 2}", type="payment"))
    run.turn(events, steps=20)
    assert run.engine.trainer is not None
    for student in run.engine.trainer.group.students:
        account, payment, device = student.mean_square.tolist()
        assert 1e7 < account < 1e9
        assert 1e-7 < payment < 1e-5
        assert device == 1.0
        scale = student.scale.tolist()
        assert (scale[0], scale[4], scale[7]) == (1.0, 1.0, 1.0)
        np.testing.assert_allclose(scale[1:4], account**-0.5, rtol=1e-5)


def test_students_learn_what_only_the_types_show() -> None:
    """A node has a tie to a node of its class by one type, and to one of the other class by another type."""
    typed_score, score = (_score(is_typed=is_typed) for is_typed in (True, False))
    assert typed_score > 0.95
    assert score < 0.7


def _score(*, is_typed: bool) -> float:
    """Share of the nodes, once something is learned, that are rightly predicted at arrival."""
    truth = np.random.default_rng(0).integers(0, 2, 400).tolist()
    config = replace(PAIR, trainer=replace(PAIR.trainer, width=16, labelled=64, fanouts=(6, 6)))
    run = begun(config) if is_typed else Run(config)
    run.turn([UpsertNode(f"of {side}", label=f"class {side}") for side in (0, 1)])
    hits: list[bool] = []
    for first in range(0, len(truth), 20):
        nodes = range(first, first + 20)
        ties = [
            (node, kind, side) for node in nodes for kind, side in (("used", truth[node]), ("knows", 1 - truth[node]))
        ]
        run.turn([UpsertEdge(f"of {side}", str(node), type=kind if is_typed else None) for node, kind, side in ties])
        table = run.reader.tables.get(run.reader.served or -1, {})
        if first >= len(truth) // 2:
            hits += [run.engine.graph.classes[table[str(node)].argmax()] == f"class {truth[node]}" for node in nodes]
        run.turn([LabelNode(str(node), f"class {truth[node]}") for node in nodes], steps=12)
    return float(np.mean(hits))


def test_students_learn_what_only_the_features_of_edges_show() -> None:
    """A node has a tie to each side, and a feature of the tie shows whether it is of its class."""
    truth = np.random.default_rng(0).integers(0, 2, 400).tolist()
    config = replace(PAIR, trainer=replace(PAIR.trainer, width=16, labelled=64, fanouts=(6, 6)))
    run = begun(config, GraphSchema(edge_types={"tie": EdgeType(ids=True, feature_width=1)}))
    run.turn([UpsertNode(f"of {side}", label=f"class {side}") for side in (0, 1)])
    hits: list[bool] = []
    for first in range(0, len(truth), 20):
        nodes = range(first, first + 20)
        run.turn(
            [
                UpsertEdge(f"of {side}", str(node), type="tie", id=f"{node} {side}", x=[3.0 * (2 * truth[node] - 1)])
                for node in nodes
                for side in (0, 1)
            ]
        )
        table = run.reader.tables.get(run.reader.served or -1, {})
        if first >= len(truth) // 2:
            hits += [run.engine.graph.classes[table[str(node)].argmax()] == f"class {truth[node]}" for node in nodes]
        run.turn([LabelNode(str(node), f"class {truth[node]}") for node in nodes], steps=12)
    assert float(np.mean(hits)) > 0.95
