"""Files that hold a graph as tables of nodes and edges, as sources."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from olad_core.events import GraphSchema, UpsertEdge, UpsertNode
from olad_core.graph_types import RELATION, EdgeType
from service.replay.archive_graph import GraphDataset
from service.replay.arrival_stream import Arrival, UnreadableDataset
from service.replay.graph_mapping import graph_mapping
from service.replay.graph_tables import GraphTables
from service.replay.meter import Meter
from service.replay.registry import DatasetSpec
from service.replay.sources import Source, StreamOptions, file_identity, graph_source
from service.replay.table_options import TableOptions, WrongMapping
from service.replay.table_source import notes_of, with_labels
from service.replay.tables.mapping import RowMapping
from service.replay.tables.plan import Plan
from service.replay.tables.row_events import arrivals
from service.replay.tables.survey import survey
from service.replay.tables.table import Table


def graph_file_source(
    path: Path,
    graph: GraphTables,
    options: StreamOptions,
    tables: TableOptions,
    on_read: Callable[[Meter], None],
    meter: Meter,
) -> Source:
    """A graph of two tables, read through as a whole first.

    Where arrivals are scored, the graph is held in memory, and its nodes arrive in the order of time, each with its
    edges to nodes that exist already. Else all nodes are sent in the order of the file, then all edges, in constant
    memory.

    Raises:
        UnreadableDataset: naming file, line, value, and what to do.
        WrongMapping: columns are stated that it does not have.
    """
    mapping = graph_mapping(tables, graph.mapping)
    of_nodes, of_edges = _of_nodes(graph, mapping), _of_edges(graph, mapping)
    if mapping.time is not None and of_nodes.time is None and of_edges.time is None:
        raise WrongMapping(f"{path}: neither a node nor an edge has {mapping.time.column!r}")

    def read(_rows: int) -> None:
        on_read(meter)

    nodes, edges = survey(graph.nodes, of_nodes, read), survey(graph.edges, of_edges, read)
    units = {plan.time_unit for plan in (nodes, edges) if plan.mapping.time is not None}
    if len(units) > 1:
        raise UnreadableDataset(
            f"{path}: times of nodes and edges are of different kinds: state theirs with --time-unit"
        )
    declared = {name: each.feature_width or 0 for name, each in graph.node_types.items()}
    nodes = replace(nodes, node_types={**nodes.node_types, **declared})
    edge_types = {name: EdgeType() for name in edges.edge_types} | dict(graph.edge_types)
    schema = nodes.schema().model_copy(update={"directed": graph.directed, "edge_types": edge_types})
    identity = f"{file_identity(path)} {options} {tables} {nodes} {edges}"
    notes = _notes(graph, nodes, edges)
    if options.scored:
        dataset = collected(arrivals(graph.nodes, nodes), arrivals(graph.edges, edges), schema)
        spec = DatasetSpec(path.name, path.name, "a graph")
        return replace(graph_source(dataset, spec, identity, options), notes=notes, meter=meter)
    of_both = itertools.chain(_created(graph, nodes), arrivals(graph.edges, edges), _by_edges(graph, nodes))
    return Source(
        name=path.name,
        identity=identity,
        batches=options.batches(with_labels(graph.nodes, nodes, of_both, options)),
        schema=schema,
        notes=notes,
        meter=meter,
    )


def collected(nodes: Iterable[Arrival], edges: Iterable[Arrival], schema: GraphSchema) -> GraphDataset:
    """A graph in memory, out of the arrivals of its nodes and of its edges, with the types that the schema names.

    Nodes and edges without a time, beside others that have one, have the earliest of all.
    """
    places: dict[str, int] = {}
    rows: list[UpsertNode] = []
    labels: list[int] = []
    number = {name: at for at, name in enumerate(schema.classes)}

    def place(node: str) -> int:
        found = places.setdefault(node, len(places))
        if found == len(rows):
            rows.append(UpsertNode(id=node))
            labels.append(-1)
        return found

    for arrival in nodes:
        event = arrival.events[0] if arrival.events else UpsertNode(id=str(arrival.node))
        assert isinstance(event, UpsertNode), "an arrival of a node"
        at = place(str(event.id))
        rows[at] = event
        if arrival.truth is not None:
            labels[at] = number[arrival.truth[1]]
    joined = [event for arrival in edges for event in arrival.events if isinstance(event, UpsertEdge)]
    ends = np.array([(place(str(edge.src)), place(str(edge.dst))) for edge in joined], np.int64).reshape(-1, 2)
    weights = [edge.weight for edge in joined]
    return GraphDataset(
        labels=np.array(labels, np.int64),
        classes=schema.classes,
        edges=ends.T,
        node_time=_times([row.ts for row in rows]),
        edge_time=_times([edge.ts for edge in joined]),
        features=_features(rows, schema),
        ids=tuple(places),
        edge_weight=np.array([1.0 if weight is None else weight for weight in weights]) if any(weights) else None,
        has_features=np.array([row.x is not None for row in rows], np.bool_),
        directed=schema.directed,
        edge_type=_numbers([edge.type or RELATION for edge in joined], schema.edge_types),
        edge_types=schema.edge_types,
        node_type=_numbers([row.type for row in rows], schema.node_types),
        node_types=schema.node_types,
    )


def _numbers(names: Sequence[str | None], types: Mapping[str, object]) -> npt.NDArray[np.int64] | None:
    """The number of each name among the types, -1 where it is None; None where there are no types."""
    number = {name: at for at, name in enumerate(types)}
    return np.array([-1 if name is None else number[name] for name in names], np.int64) if types else None


def _features(rows: Sequence[UpsertNode], schema: GraphSchema) -> npt.NDArray[np.float32] | None:
    """Features ``[N, F]`` of nodes, zeros beyond those of a type that has less; None where no node has any."""
    own = [row.x if isinstance(row.x, list) else [] for row in rows]
    if not any(own):
        return None
    widths = [schema.feature_width, *(each.feature_width for each in schema.node_types.values())]
    features = np.zeros((len(rows), max(width or 0 for width in widths)), np.float32)
    for row, x in zip(features, own, strict=True):
        row[: len(x)] = x
    return features


def _created(graph: GraphTables, nodes: Plan) -> Iterator[Arrival]:
    """The nodes that are created by themselves."""
    return (arrival for arrival in arrivals(graph.nodes, nodes) if arrival.events)


def _by_edges(graph: GraphTables, nodes: Plan) -> Iterator[Arrival]:
    """The nodes without a type where others have one: their edges create them, and their classes come after that."""
    if not nodes.node_types:
        return iter(())
    return (arrival for arrival in arrivals(graph.nodes, nodes) if not arrival.events)


def _times(times: list[float | None]) -> npt.NDArray[np.float64] | None:
    known = [time for time in times if time is not None]
    return np.array([min(known) if time is None else time for time in times]) if known else None


def _of_nodes(graph: GraphTables, mapping: RowMapping) -> RowMapping:
    return RowMapping(node=mapping.node, time=mapping.time if _has_time(graph.nodes, mapping) else None)


def _of_edges(graph: GraphTables, mapping: RowMapping) -> RowMapping:
    time = mapping.time if _has_time(graph.edges, mapping) else None
    return RowMapping(
        source=mapping.source, target=mapping.target, edge_type=mapping.edge_type, weight=mapping.weight, time=time
    )


def _has_time(table: Table, mapping: RowMapping) -> bool:
    return mapping.time is not None and mapping.time.column in (table.columns or ())


def _notes(graph: GraphTables, nodes: Plan, edges: Plan) -> tuple[str, ...]:
    """What was found, and which values are not sent."""
    notes = list(dict.fromkeys((*notes_of(nodes), *notes_of(edges))))
    used = {*nodes.mapping.columns(), *edges.mapping.columns(), "position", "directed", "key"}
    for what, table in (("nodes", graph.nodes), ("edges", graph.edges)):
        left = [name for name in table.columns or () if name not in used]
        if left and not graph.is_export:
            how = "--label, --features and --time" if what == "nodes" else "--weight and --time"
            notes.append(f"left out of {what}: {', '.join(left[:20])} (named with {how})")
    if graph.directed:
        notes.append("edges go one way: declared as directed")
    if graph.repeated:
        notes.append("where two nodes have several edges, the last one counts")
    return tuple(notes)
