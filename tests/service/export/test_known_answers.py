"""What is known of a graph's tasks: out of a checkpoint and the log after it, and in exported files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph.store import DynamicGraph
from olad_core.graph_types import EdgeType
from olad_core.task_types import EdgeClassTask, EdgeValueTask, NodeValueTask
from service.export.graph_at import GraphAt
from service.export.graph_files import WRITERS, export_graph
from service.export.known_answers import KnownAnswers
from tests.device import DEVICE
from tests.olad_core.runs import PAIR

SCHEMA = GraphSchema(
    edge_types={"paid": EdgeType(directed=True, ids=True), "rated": EdgeType(), "trusts": EdgeType(directed=True)},
    tasks={
        "price": NodeValueTask(kind="node_value"),
        "fraud": EdgeClassTask(kind="edge_class", edge_type="paid"),
        "rating": EdgeValueTask(kind="edge_value", edge_type="rated"),
        "trust": EdgeClassTask(kind="edge_class", edge_type="trusts"),
    },
)
NODES = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.sampled_from([None, -1.5, 0.0, 2.0])
LABELS = st.sampled_from([None, "good", "bad"])
ENDS = {"p1": ("a", "b"), "p2": ("b", "c"), "p3": ("a", "a")}
NUMBERS = st.sampled_from([*ENDS])
PAYMENTS = st.builds(lambda name, label: UpsertEdge(*ENDS[name], type="paid", id=name, label=label), NUMBERS, LABELS)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(lambda node, value: UpsertNode(node, value=value), NODES, VALUES),
    st.builds(lambda node: LabelNode(node, value=3.5), NODES),
    st.builds(lambda node: LabelNode(node, label="class"), NODES),
    st.builds(RemoveNode, NODES),
    PAYMENTS,
    st.builds(lambda src, dst, value: UpsertEdge(src, dst, type="rated", value=value), NODES, NODES, VALUES),
    st.builds(lambda src, dst, label: UpsertEdge(src, dst, type="trusts", label=label), NODES, NODES, LABELS),
    st.builds(lambda name: LabelNode(edge=name, type="paid", label="late"), NUMBERS),
    st.builds(lambda src, dst: LabelNode(src=src, dst=dst, type="rated", value=4.0), NODES, NODES),
    st.builds(lambda src, dst: LabelNode(src=src, dst=dst, type="trusts", label="late"), NODES, NODES),
    st.builds(lambda name: RemoveEdge(type="paid", id=name), NUMBERS),
    st.builds(lambda src, dst: RemoveEdge(src, dst, type="rated"), NODES, NODES),
)


def _engine() -> Engine:
    engine = Engine(replace(PAIR, arrivals_remembered=100), DEVICE)
    engine.declare("0-1", SCHEMA)
    return engine


def _of_checkpoint(engine: Engine) -> KnownAnswers:
    engine.refresh()
    engine.take_publication()
    known = KnownAnswers()
    known.take_checkpoint(engine.graph, *engine.state())
    return known


def _content(known: KnownAnswers, graph: DynamicGraph) -> dict[Any, Any]:
    """What is known, by the node, or by type, ends and id of the edge."""
    rows, edges = graph.living(), graph.edge_list()
    values, of_edges = known.of_nodes(graph, rows), known.of_edges(graph)
    assert values is not None
    assert of_edges.labels is not None
    assert of_edges.values is not None
    keys = edges.relation.tolist(), graph.ids(edges.source), graph.ids(edges.target), graph.edge_ids()
    found: dict[Any, Any] = dict(zip(graph.ids(rows), values.tolist(), strict=True))
    found |= dict(
        zip(zip(*keys, strict=True), zip(of_edges.labels, of_edges.values.tolist(), strict=True), strict=True)
    )
    return {name: str(value) for name, value in found.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries=st.lists(st.lists(EVENTS, min_size=1, max_size=8), min_size=1, max_size=5), first=st.integers(0, 4))
def test_a_checkpoint_and_the_log_after_it_tell_what_the_tasks_know(entries: list[list[Event]], first: int) -> None:
    engine, graph, known = _engine(), DynamicGraph(), KnownAnswers()
    graph.declare(SCHEMA)
    for number, events in enumerate(entries):
        if number == first:
            known = _of_checkpoint(engine)
        engine.apply(f"{number + 1}-0", events, 1.0 + number)
        known.begin_entry(graph, events, 1.0 + number)
        rejected = {each.index for each in graph.apply(events, 1.0 + number).rejected}
        known.end_entry(graph, [event for at, event in enumerate(events) if at not in rejected])
    found, expected = _content(known, graph), _content(_of_checkpoint(engine), engine.graph)
    assert found.keys() == expected.keys()
    # A task rejects a label of an edge that leaves and comes back with one entry, where it is what is known of it.
    readded = {name for name in found if found[name] != expected[name]}
    assert {expected[name] for name in readded} <= {"(None, nan)"}
    assert not readded or any(isinstance(event, RemoveNode) for events in entries for event in events)


@pytest.fixture
def found() -> GraphAt:
    """A node with a value and one without, a payment with a class and one without, and a rating with a value."""
    engine = _engine()
    events: list[Event] = [
        UpsertNode("a", value=2.5),
        UpsertEdge("a", "b", type="paid", id="p1", label="fraud"),
        UpsertEdge("a", "b", type="paid", id="p2"),
        UpsertEdge("b", "a", type="rated", value=4.0),
    ]
    engine.apply("1-0", events, 1.0)
    return GraphAt(engine.graph, "1-0", _of_checkpoint(engine))


def test_arrays_have_what_is_known(found: GraphAt, tmp_path: Path) -> None:
    with np.load(export_graph(found, tmp_path / "graph.npz")[0]) as arrays:
        names = arrays["edge_type"].tolist()
        np.testing.assert_equal(arrays["node_value"], [2.5, math.nan])
        by_id = dict(zip(arrays["edge_id"].tolist(), arrays["edge_label"].tolist(), strict=True))
        assert (by_id["p1"], by_id["p2"], arrays["edge_classes"].tolist()) == (0, -1, ["fraud"])
        assert arrays["edge_value"][names.index(arrays["edge_types"].tolist().index("rated"))] == 4.0


def test_objects_of_pyg_have_what_is_known(found: GraphAt, tmp_path: Path) -> None:
    data = torch.load(export_graph(found, tmp_path / "graph.pt")[0], weights_only=False)
    np.testing.assert_equal(data.node_value.numpy(), [2.5, math.nan])
    assert data.edge_classes == ["fraud"]
    assert dict(zip(data.edge_id, data.edge_label.tolist(), strict=True))["p1"] == 0
    # The rating has no direction, so that it stands there in both.
    assert sorted(data.edge_value[~data.edge_value.isnan()].tolist()) == [4.0, 4.0]


def test_tables_have_what_is_known(found: GraphAt, tmp_path: Path) -> None:
    nodes, edges = (csv.read_csv(path).to_pylist() for path in export_graph(found, tmp_path / "graph.csv"))
    assert {row["node"]: row["value"] for row in nodes} == {"a": 2.5, "b": None}
    assert {row["id"]: row["label"] or None for row in edges if row["type"] == "paid"} == {"p1": "fraud", "p2": None}
    assert [row["value"] for row in edges if row["type"] == "rated"] == [4.0]


def test_graphml_has_what_is_known(found: GraphAt, tmp_path: Path) -> None:
    text = export_graph(found, tmp_path / "graph.graphml")[0].read_text()
    assert '<data key="value">2.5</data>' in text
    assert text.count('<data key="edge_label">fraud</data>') == 1
    # The rating has no direction among edges that have one.
    assert text.count('<data key="edge_value">4.0</data>') == 2


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_a_graph_without_tasks_has_no_such_columns(suffix: str, tmp_path: Path) -> None:
    engine = Engine(PAIR, DEVICE)
    engine.apply("1-0", [UpsertEdge("a", "b")], 1.0)
    for path in export_graph(GraphAt(engine.graph, "1-0"), tmp_path / f"graph{suffix}"):
        content = path.read_bytes()
        assert b"edge_label" not in content
        assert b"node_value" not in content
        assert suffix != ".csv" or b"value" not in content
