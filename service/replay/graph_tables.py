"""A graph as two tables, of its nodes and of its edges: GraphML, node-link JSON of NetworkX, and exported tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from olad_core.graph_types import EdgeType, NodeType
from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import unwrapping
from service.replay.exported_types import ExportedTypes
from service.replay.file_kinds import Kind, Shape
from service.replay.graphml import GraphmlHead, read_head
from service.replay.json_text import JsonText
from service.replay.meter import Meter
from service.replay.tables.graphml_table import GraphmlTable
from service.replay.tables.json_table import JsonTable
from service.replay.tables.mapping import (
    CsvFormat,
    EndColumn,
    FeatureColumn,
    IdColumn,
    LabelColumn,
    NodeRows,
    RowMapping,
    TimeColumn,
    TypeColumn,
)
from service.replay.tables.opening import TableKind, file_table
from service.replay.tables.table import Table

_FEATURE = re.compile(r"x\d+")
_OF_EDGES = ("links", "edges")
_OTHER_JSON = {
    "adjacency": "NetworkX's adjacency data",
    "elements": "a graph of Cytoscape",
}


@dataclass(frozen=True)
class GraphTables:
    """A graph.

    Attributes:
        nodes, edges: its tables.
        directed: whether edges go one way.
        mapping: what the columns are, where nothing else is stated.
        repeated: whether two nodes may be joined by several edges.
        is_export: whether ``olad export`` wrote it.
        node_types, edge_types: what the file states of types, by name.
    """

    nodes: Table
    edges: Table
    directed: bool
    mapping: RowMapping
    repeated: bool = False
    is_export: bool = False
    node_types: Mapping[str, NodeType] = field(default_factory=dict)
    edge_types: Mapping[str, EdgeType] = field(default_factory=dict)


def graph_tables(path: Path, kind: Kind, shape: Shape | None, meter: Meter) -> GraphTables | None:
    """The tables of a file that holds a graph; None of another one.

    Args:
        path: of the file.
        kind: what it is.
        shape: what it holds, where it is JSON.
        meter: follows how much of it has been read.

    Raises:
        UnreadableDataset: it is not whole, or no graph of a kind that is read.
    """
    if kind == "graphml":
        return graphml_tables(path, meter)
    if shape == "graph":
        return node_link_tables(path, meter)
    return exported_tables(path, "parquet" if kind == "parquet" else "csv", meter)


def graphml_tables(path: Path, meter: Meter) -> GraphTables:
    """The graph in a file of GraphML.

    Raises:
        UnreadableDataset: it is none, or not whole.
    """
    name = str(path)

    def opened() -> IO[bytes]:
        return meter.open(path)

    head = read_head(opened, name)
    nodes, edges = GraphmlTable(name, opened, head, "node"), GraphmlTable(name, opened, head, "edge")
    if "position" not in head.graph:
        return GraphTables(nodes, edges, head.directed, _mapping("id"))
    types = _stated_types(head, name)
    return GraphTables(
        nodes,
        edges,
        head.directed if types is None else types.directed,
        _exported_mapping("id", nodes.columns, "node_type", edges.columns),
        is_export=True,
        node_types=types.of_nodes if types is not None else {},
        edge_types=types.of_edges if types is not None else {},
    )


def node_link_tables(path: Path, meter: Meter) -> GraphTables:
    """The graph in a file of JSON with ``nodes`` and ``links`` or ``edges``.

    Raises:
        UnreadableDataset: it is none, or not whole.
    """
    name = str(path)

    def opened() -> IO[bytes]:
        return meter.open(path)

    found = _members(opened, name)
    for key, what in _OTHER_JSON.items():
        if key in found:
            raise UnreadableDataset(f"{name} is {what}: write node-link data, as networkx.node_link_data does")
    if "nodes" not in found or not any(key in found for key in _OF_EDGES):
        raise UnreadableDataset(
            f"{name} has {', '.join(found)}, and not 'nodes' and 'links' or 'edges' of node-link data"
        )
    nodes = JsonTable(name, opened, member=("nodes",))
    edges = JsonTable(name, opened, member=_OF_EDGES)
    return GraphTables(nodes, edges, found.get("directed") is True, _mapping("id"), found.get("multigraph") is True)


def exported_tables(path: Path, kind: TableKind, meter: Meter) -> GraphTables | None:
    """The graph in ``NAME.nodes.csv`` and ``NAME.edges.csv`` of ``olad export``; None where these are not they.

    Args:
        path: of either.
        kind: their format.
        meter: follows how much of them has been read.
    """
    pair = _pair(path)
    if pair is None:
        return None
    nodes, edges = (file_table(each, kind, meter, CsvFormat()) for each in pair)
    of_nodes, of_edges = nodes.columns or (), edges.columns or ()
    if of_nodes[:2] + of_nodes[-1:] != ("node", "label", "position") or "directed" not in of_edges:
        return None
    mapping = _exported_mapping("node", of_nodes, "type", of_edges)
    if mapping.edge_type is not None:
        ways = _directions(edges)
        return GraphTables(nodes, edges, False, mapping, is_export=True, edge_types=ways)
    first = next(iter(edges.rows(("directed",))), None)
    directed = first is not None and first.batch.num_rows > 0 and str(first.batch.column(0)[0]).lower() == "true"
    return GraphTables(nodes, edges, directed, mapping, is_export=True)


def _directions(edges: Table) -> dict[str, EdgeType]:
    """Whether the edges of each type go one way."""
    found: dict[str, EdgeType] = {}
    for rows in edges.rows(("type", "directed")):
        types, ways = (rows.batch.column(place).to_pylist() for place in range(2))
        for name, way in dict(zip(types, ways, strict=True)).items():
            found[name] = EdgeType(directed=str(way).lower() == "true")
    return found


def _stated_types(head: GraphmlHead, name: str) -> ExportedTypes | None:
    """What ``olad export`` writes about types beside their names; None where there are none."""
    if "types" not in head.graph:
        return None
    try:
        return ExportedTypes.model_validate_json(head.graph["types"])
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise UnreadableDataset(f"{name}: 'types' of the graph does not fit ({problem}): export it again") from None


def _mapping(node: str) -> RowMapping:
    """The columns that every such file has."""
    source, target = (EndColumn(column=name, exact=True) for name in ("source", "target"))
    return RowMapping(source=source, target=target, node=NodeRows(id=IdColumn(column=node, exact=True)))


def _exported_mapping(node: str, columns: Sequence[str], node_type: str, edge_columns: Sequence[str]) -> RowMapping:
    """The columns of nodes and edges that ``olad export`` wrote."""
    alone = _mapping(node)
    features = tuple(
        FeatureColumn(column=name, kind="number", missing=False) for name in columns if _FEATURE.fullmatch(name)
    )
    has_types, has_edge_types = node_type in columns, "type" in edge_columns
    return RowMapping(
        source=alone.source,
        target=alone.target,
        edge_type=TypeColumn(column="type", exact=True) if has_edge_types else None,
        weight="weight",
        time=TimeColumn(column="time", unit="own"),
        node=NodeRows(
            id=IdColumn(column=node, exact=True),
            type=TypeColumn(column=node_type, exact=True, optional=True) if has_types else None,
            features=features,
            label=LabelColumn(column="label", exact=True),
        ),
    )


def _members(opened: Callable[[], IO[bytes]], name: str) -> dict[str, Any]:
    """Keys of the object that a file is, with the values of those that say what the graph is."""
    found: dict[str, Any] = {}
    with opened() as file, unwrapping(file, name) as (head, stream):
        text = JsonText(stream, head, name)
        for key in text.members():
            found[key] = None
            if key in {"directed", "multigraph"}:
                found[key] = text.value()
            else:
                text.skip()
        text.end()
    return found


def _pair(path: Path) -> tuple[Path, Path] | None:
    for own, other in (("nodes", "edges"), ("edges", "nodes")):
        stem, found, suffix = path.name.rpartition(f".{own}.")
        sibling = path.with_name(f"{stem}.{other}.{suffix}")
        if found and sibling.is_file():
            return (path, sibling) if own == "nodes" else (sibling, path)
    return None
