"""GraphML and node-link JSON, as NetworkX and others write them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pyarrow as pa
import pytest

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from service.replay.arrival_stream import UnreadableDataset
from service.replay.label_delay import Duration
from service.replay.sources import Source, StreamOptions, open_source
from service.replay.table_options import TableOptions, WrongMapping
from service.replay.tables import graphml_table

ALL = StreamOptions(label_delay=0, scored=False)
CLUB = TableOptions(label="club", weight="weight")


def _events(source: Source) -> list[Event]:
    return [event for batch in source.batches for event in batch.events]


def _graphml(graph: Any, path: Path) -> None:
    nx.write_graphml_xml(graph, path)


def _node_link(edges: str) -> Callable[[Any, Path], None]:
    def write(graph: Any, path: Path) -> None:
        path.write_text(json.dumps(nx.node_link_data(graph, edges=edges), indent=1))

    return write


WRITERS = {"GraphML": _graphml, "links": _node_link("links"), "edges": _node_link("edges")}


@pytest.mark.parametrize("packed", [None, "gzip", "zstd"])
@pytest.mark.parametrize("writer", sorted(WRITERS))
def test_a_graph_of_networkx(tmp_path: Path, writer: str, packed: str | None) -> None:
    graph: Any = nx.karate_club_graph()
    path = tmp_path / "karate"
    WRITERS[writer](graph, path)
    if packed == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif packed == "zstd":
        path.write_bytes(pa.Codec("zstd").compress(path.read_bytes(), asbytes=True))
    source = open_source(str(path), ALL, tables=CLUB)
    expected: list[Event] = []
    for node, parts in graph.nodes(data=True):
        expected += [UpsertNode(id=str(node)), LabelNode(id=str(node), label=parts["club"])]
    expected += [
        UpsertEdge(src=str(src), dst=str(dst), weight=float(parts["weight"]))
        for src, dst, parts in graph.edges(data=True)
    ]
    assert _events(source) == expected
    assert source.schema is not None
    assert (source.schema.classes, source.schema.directed) == (("Mr. Hi", "Officer"), False)
    assert any("left out of nodes: club" in note for note in open_source(str(path), ALL).notes)


@pytest.mark.parametrize("writer", sorted(WRITERS))
def test_nodes_arrive_in_time_where_they_are_scored(tmp_path: Path, writer: str) -> None:
    graph: Any = nx.MultiDiGraph()
    graph.add_node("late", since="2026-01-03", kind="shop", size=2.5)
    graph.add_node("first", since="2026-01-01", kind="person")
    graph.add_node("second", since="2026-01-02", kind="person", size=1)
    graph.add_edge("first", "late", n=1)
    graph.add_edge("second", "first", n=1)
    graph.add_edge("second", "first", n=2)
    path = tmp_path / "graph"
    WRITERS[writer](graph, path)
    tables = TableOptions(features=("size", "kind"), time="since", weight="n", id_prefix="n-")
    source = open_source(str(path), StreamOptions(batch_size=1), tables=tables)
    assert [batch.nodes for batch in source.batches] == [("n-first",), ("n-second",), ("n-late",)]
    second, third = list(open_source(str(path), StreamOptions(batch_size=1), tables=tables).batches)[1:]
    day = 86_400.0
    begin = 1_767_225_600.0
    assert second.events == (
        UpsertNode(id="n-second", x=[1.0, 0.0, 1.0, 0.0], ts=begin + day),
        UpsertEdge(src="n-second", dst="n-first", weight=1.0, ts=begin + day),
        UpsertEdge(src="n-second", dst="n-first", weight=2.0, ts=begin + day),
    )
    assert third.events == (
        UpsertNode(id="n-late", x=[2.5, 0.0, 0.0, 1.0], ts=begin + 2 * day),
        UpsertEdge(src="n-first", dst="n-late", weight=1.0, ts=begin + 2 * day),
    )
    assert source.schema is not None
    assert source.schema.directed
    assert "where two nodes have several edges, the last one counts" in source.notes or writer == "GraphML"


def test_labels_follow_in_event_time(tmp_path: Path) -> None:
    graph: Any = nx.Graph()
    for number in range(4):
        graph.add_node(number, at=1_700_000_000 + 60 * number, y="ab"[number % 2])
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(nx.node_link_data(graph)))
    options = StreamOptions(label_delay=Duration(60), scored=False)
    events = _events(open_source(str(path), options, tables=TableOptions(label="y", time="at")))
    assert [(event.id, event.label) for event in events if isinstance(event, LabelNode)] == [
        ("0", "a"),
        ("1", "b"),
        ("2", "a"),
    ]


def test_defaults_other_names_and_values_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "other.graphml"
    path.write_text(
        """<?xml version="1.0" encoding="ISO-8859-1"?>
<!-- Written by hand. -->
<graphml xmlns:y="http://www.yworks.com/xml/graphml">
 <desc>A graph</desc>
 <key id="d0" for="node" attr.name="kind"><default>person</default></key>
 <key id="d1" for="all" attr.name="id"/>
 <key id="d2" for="node" yfiles.type="nodegraphics"/>
 <graph id="G" edgedefault="directed">
  <edge source="a" target="Jos\xe9"/>
  <node id="a"><data key="d1">own</data>
   <data key="d2"><y:ShapeNode><y:Fill color="red">1</y:Fill></y:ShapeNode></data></node>
  <node id="Jos\xe9"><port name="p"/><data key="d0">shop</data></node>
 </graph>
</graphml>""".encode("latin-1").decode("latin-1"),
        encoding="latin-1",
    )
    tables = TableOptions(features=("kind",), label="d1")
    source = open_source(str(path), ALL, tables=tables)
    assert _events(source) == [
        *(UpsertNode(id="a", x=[1.0, 0.0]), LabelNode(id="a", label="own")),
        *(UpsertNode(id="José", x=[0.0, 1.0]), UpsertEdge(src="a", dst="José")),
    ]


def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc  # noqa: PLC0415

    monkeypatch.setattr(graphml_table, "_ROWS", 500)
    sizes = {}
    for nodes in (2_000, 8_000):
        path = tmp_path / f"{nodes}.graphml"
        rows = "".join(f'<node id="n{n}"><data key="k">c{n % 3}</data></node>\n' for n in range(nodes))
        edges = "".join(f'<edge source="n{n}" target="n{n // 2}"/>\n' for n in range(nodes))
        path.write_text(f'<graphml><key id="k" for="node" attr.name="y"/><graph>{rows}{edges}</graph></graphml>')
        options = StreamOptions(batch_size=500, scored=False)
        tracemalloc.start()
        count = sum(
            len(batch.events) for batch in open_source(str(path), options, tables=TableOptions(label="y")).batches
        )
        sizes[nodes] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 3 * nodes
    assert sizes[8_000] < 1.7 * sizes[2_000], sizes


def _xml(inside: str, before: str = "") -> str:
    key = '<key id="k" for="node" attr.name="x"/>'
    return f'<?xml version="1.0"?>\n{before}<graphml>\n{key}\n<graph>\n{inside}\n</graph></graphml>'


LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n'
NODE = '<node id="a"/>'
WRONG: dict[str, tuple[str | bytes, str]] = {
    "DOCTYPE": (
        _xml(NODE, '<!DOCTYPE graphml SYSTEM "file:///etc/passwd">\n'),
        "line 2: a DOCTYPE, which could .*: take it out",
    ),
    "billion laughs": (_xml('<node id="&b;"/>', LAUGHS), "line 2: a DOCTYPE"),
    "an entity": (_xml('<node id="&b;"/>'), r"line 5: not XML \(undefined entity\)"),
    "half": (_xml(NODE)[:-9], r"line 6: ends too early .*: fetch or write it again"),
    "no end of a tag": (_xml("<node id='a'>"), r"line 6: not XML \(mismatched tag\)"),
    "GEXF": ("<gexf><graph/></gexf>", "is GEXF, which is not read: write GraphML, as networkx.write_graphml"),
    "HTML": ("<html><body/></html>", "is a web page: fetch the file itself"),
    "another root": ("<rows><row/></rows>", "is XML with the root <rows>, and no GraphML"),
    "nothing in it": ("<graphml></graphml>", "has no <graph>"),
    "Latin-1": (
        _xml('<node id="Jos\xe9"/>').encode("latin-1"),
        "line 5: not XML .*; where it is Latin-1, its first line",
    ),
    "a node without id": (_xml("<node/>"), "line 5: <node> has no id"),
    "an edge without end": (_xml('<edge source="a"/>'), "line 5: <edge> has no target"),
    "an unknown key": (
        _xml('<node id="a"><data key="z">1</data></node>'),
        "line 5: <data> of a node with the key 'z', which no",
    ),
    "a hyperedge": (_xml("<hyperedge/>"), "line 5: a hyperedge: write an edge for each pair"),
    "a nested graph": (_xml('<node id="a"><graph/></node>'), "line 5: a graph within a node or an edge"),
    "a second graph": (_xml("</graph><graph>"), "line 5: a second graph: write each graph to a file"),
    "mixed directions": (
        _xml('<edge source="a" target="b" directed="true"/>'),
        "line 5: a directed edge in an undirected",
    ),
    "no number": (
        _xml('<node id="a"><data key="k">1</data></node>\n<node id="b"><data key="k">1,5</data></node>'),
        "line 6, column 'x': '1,5' is no number",
    ),
    "an empty id": (_xml('<node id=""/>'), "line 5, column 'id': the id of a node is missing"),
    "half of node-link": ('{"nodes": [{"id": 1}],\n"links": [{"source": 1', "line 2: "),
    "nodes without edges": ('{"nodes": [{"id": 1}]}', "has nodes, and not 'nodes' and 'links' or 'edges'"),
    "nodes without ids": (
        '{"nodes": [{"name": 1, "x": 1}], "links": []}',
        r"no column 'id'.*it has the columns name, x",
    ),
    "a node that is no object": ('{"nodes": [1], "links": []}', "line 1: a number, where a row must be an object"),
    "a nested id": ('{"nodes": [{"id": [1, 2], "x": 1}], "links": []}', "line 1: column 'id' is an array"),
    "adjacency data": (
        json.dumps(nx.adjacency_data(nx.path_graph(2))),
        "is NetworkX's adjacency data: write node-link data",
    ),
    "Cytoscape": (json.dumps(nx.cytoscape_data(nx.path_graph(2))), "is a graph of Cytoscape: write node-link data"),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_one_line_names_what_it_is_where_and_what_to_do(tmp_path: Path, kind: str) -> None:
    content, message = WRONG[kind]
    path = tmp_path / "graph"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableDataset, match=message) as error:
        open_source(str(path), tables=TableOptions(features=("x",)) if "'x'" in message else TableOptions())
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (TableOptions(as_node=True), "a graph has nodes of its own: leave out --as-node"),
        (TableOptions(time="when"), "neither a node nor an edge has 'when'"),
    ],
)
def test_options_that_do_not_fit_are_named(tmp_path: Path, tables: TableOptions, message: str) -> None:
    path = tmp_path / "graph"
    path.write_text(_xml(NODE))
    with pytest.raises(WrongMapping, match=message):
        open_source(str(path), tables=tables)


def test_a_mapping_file_names_values_too(tmp_path: Path) -> None:
    path, mapping = tmp_path / "graph", tmp_path / "mapping.yaml"
    path.write_text(_xml('<node id="a"><data key="k">none</data></node>\n<edge source="a" target="b"/>'))
    mapping.write_text("source: {column: source, prefix: n-}\nnode: {label: {column: x, exact: true}}")
    assert _events(open_source(str(path), ALL, tables=TableOptions(mapping=mapping))) == [
        *(UpsertNode(id="a"), LabelNode(id="a", label="none")),
        UpsertEdge(src="n-a", dst="b"),
    ]
