"""What ``olad export graph`` writes is read back to the same graph, in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, LabelNode, UpsertEdge, UpsertNode
from olad_core.graph.store import DynamicGraph
from olad_core.graph.typed_features import TypedFeatures
from olad_core.graph_types import EdgeType, NodeType
from service.export.graph_at import GraphAt
from service.export.graph_files import WRITERS, export_graph
from service.replay.sources import StreamOptions, open_source
from tests.device import DEVICE
from tests.olad_core.runs import PAIR

# What XML cannot hold is refused by its writer.
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=8
)
NAMES = TEXT | st.sampled_from(
    ["NA", " a ", "a", "none", "1", "1.0", "é <&\n'\"", "\r", "a,b;c\t", '"', "row-1", "]]>"]
)
FLOATS = st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[bool, list[Event]]:
    """Whether edges go one way, and the events of a graph."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    name = st.sampled_from(names)
    classes = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    events: list[Event] = []
    for node in draw(st.lists(name, unique=True)):
        x = draw(st.none() | st.lists(FLOATS, min_size=2, max_size=2))
        events.append(UpsertNode(id=node, x=x, ts=draw(FLOATS)))
        if draw(st.booleans()):
            events.append(LabelNode(id=node, label=draw(st.sampled_from(classes))))
    for src, dst in draw(st.lists(st.tuples(name, name), max_size=8)):
        weight = draw(st.none() | st.floats(2.0**-10, 2.0**40, width=32))
        events.append(UpsertEdge(src=src, dst=dst, weight=weight, ts=draw(FLOATS)))
    return draw(st.booleans()), events


def _applied(schema: GraphSchema | None, events: list[Event]) -> DynamicGraph:
    engine = Engine(PAIR, DEVICE)
    if schema is not None:
        engine.declare("0-1", schema)
    engine.apply("5-0", events, 0.0)
    return engine.graph


def _content(graph: DynamicGraph) -> tuple[bool, dict[str, Any], dict[Any, Any]]:
    rows, edges = graph.living(), graph.edge_list()
    nodes = {
        name: (
            graph.classes[label] if label >= 0 else None,
            graph.features.dense(int(row)).tolist() if graph.features.count and graph.features.has(int(row)) else None,
        )
        for name, row, label in zip(graph.ids(rows), rows, graph.label[rows].tolist(), strict=True)
    }
    ends = zip(graph.ids(edges.source), graph.ids(edges.target), strict=True)
    keys = [pair if graph.directed else frozenset(pair) for pair in ends]
    values = zip(edges.weight.tolist(), edges.time.tolist(), strict=True)
    return graph.directed and bool(keys), nodes, dict(zip(keys, values, strict=True))


@pytest.mark.parametrize("suffix", sorted(WRITERS))
@pytest.mark.parametrize("scored", [False, True], ids=["import", "replay"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs())
def test_an_exported_graph_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, scored: bool, graph: tuple[bool, list[Event]]
) -> None:
    directed, events = graph
    before = _applied(GraphSchema(directed=directed), events)
    if not before.num_nodes:
        return
    files = export_graph(GraphAt(before, "5-0"), tmp_path_factory.mktemp("export") / f"graph{suffix}")
    for path in files:
        source = open_source(str(path), StreamOptions(label_delay=0, scored=scored))
        read = [event for batch in source.batches for event in batch.events]
        assert _content(_applied(source.schema, read)) == _content(before)
        assert source.identity is not None


@st.composite
def typed_graphs(draw: st.DrawFn) -> tuple[GraphSchema, list[Event]]:
    """A schema with types of nodes, of edges, or of both, and the events of a graph that has some of each."""
    kinds = draw(st.lists(NAMES, max_size=3, unique=True))
    relations = draw(st.lists(NAMES, min_size=0 if kinds else 1, max_size=3, unique=True))
    widths = {kind: draw(st.integers(0, 3)) for kind in kinds}
    schema = GraphSchema(
        directed=draw(st.booleans()),
        node_types={kind: NodeType(feature_width=width or None) for kind, width in widths.items()},
        edge_types={name: EdgeType(directed=draw(st.none() | st.booleans())) for name in relations},
    )
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    events: list[Event] = []
    for node in names[: draw(st.integers(0, len(names)))]:
        kind = draw(st.sampled_from(kinds)) if kinds else None
        width = widths[kind] if kind is not None else 2
        x = draw(st.none() | st.lists(FLOATS, min_size=width, max_size=width)) if width else None
        events.append(UpsertNode(id=node, x=x, type=kind, ts=1.0))
    name = st.sampled_from(names)
    for src, dst in draw(st.lists(st.tuples(name, name), min_size=1, max_size=8)):
        relation = draw(st.sampled_from(relations)) if relations else None
        weight = draw(st.none() | st.just(2.5))
        events.append(UpsertEdge(src=src, dst=dst, type=relation, weight=weight, ts=draw(FLOATS)))
    joined = {str(end) for event in events if isinstance(event, UpsertEdge) for end in (event.src, event.dst)}
    labelled = draw(st.lists(st.sampled_from(sorted(joined)), unique=True))
    return schema, [*events, *(LabelNode(id=node, label=draw(NAMES)) for node in labelled)]


def _typed_content(graph: DynamicGraph) -> tuple[dict[str, Any], dict[Any, Any], dict[str, int]]:
    """Nodes and edges with types and directions, and the width of each type whose nodes have features."""
    rows, edges, table = graph.living(), graph.edge_list(), graph.features
    has = table.has(rows) if table.count else np.zeros(len(rows), np.bool_)
    nodes, widths = {}, {}
    for at, (row, name) in enumerate(zip(rows, graph.ids(rows), strict=True)):
        label = graph.classes[graph.label[row]] if graph.label[row] >= 0 else None
        kind = None
        if isinstance(table, TypedFeatures) and table.kind[row] >= 0:
            kind = [*graph.node_types][table.kind[row]]
            if has[at]:
                widths[kind] = graph.node_types[kind].feature_width or 0
        x = table.own(rows[at : at + 1])[0, : widths.get(str(kind))].tolist() if has[at] else None
        nodes[name] = label, kind, x
    rules = [*graph.relation_rules.items()]
    found = {}
    ends = zip(graph.ids(edges.source), graph.ids(edges.target), strict=True)
    for at, (source, target) in enumerate(ends):
        relation, rule = rules[edges.relation[at]]
        pair = (source, target) if rule.directed else frozenset([source, target])
        found[relation, rule.directed, pair] = float(edges.weight[at]), float(edges.time[at])
    return nodes, found, widths


@pytest.mark.parametrize("suffix", sorted(WRITERS))
@pytest.mark.parametrize("scored", [False, True], ids=["import", "replay"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=typed_graphs())
def test_types_of_an_exported_graph_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, scored: bool, graph: tuple[GraphSchema, list[Event]]
) -> None:
    before = _applied(*graph)
    files = export_graph(GraphAt(before, "5-0"), tmp_path_factory.mktemp("export") / f"graph{suffix}")
    for path in files:
        source = open_source(str(path), StreamOptions(label_delay=0, scored=scored))
        read = [event for batch in source.batches for event in batch.events]
        assert _typed_content(_applied(source.schema, read)) == _typed_content(before)


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_a_graph_without_edges_or_features_is_read_back(tmp_path: Path, suffix: str) -> None:
    before = _applied(None, [UpsertNode(id="a"), UpsertNode(id="b", label="x")])
    path, *_ = export_graph(GraphAt(before, "5-0"), tmp_path / f"graph{suffix}")
    source = open_source(str(path), StreamOptions(scored=False))
    read = [event for batch in source.batches for event in batch.events]
    assert _content(_applied(source.schema, read)) == _content(before)
    assert np.isfinite(before.edge_list().time).all()


@pytest.mark.parametrize("suffix", sorted(WRITERS))
def test_types_may_have_two_underscores(tmp_path: Path, suffix: str) -> None:
    schema = GraphSchema(node_types={"a__n": NodeType()}, edge_types={"e__e": EdgeType()})
    nodes = [UpsertNode(id=name, type="a__n", ts=1.0) for name in "ab"]
    before = _applied(schema, [*nodes, UpsertEdge(src="a", dst="b", type="e__e", ts=1.0)])
    for path in export_graph(GraphAt(before, "5-0"), tmp_path / f"graph{suffix}"):
        source = open_source(str(path), StreamOptions(scored=False))
        read = [event for batch in source.batches for event in batch.events]
        assert _typed_content(_applied(source.schema, read)) == _typed_content(before)
