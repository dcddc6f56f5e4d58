"""The graph in a file: one writer a format."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt

from olad_core.graph.edge_arrays import EdgeList
from olad_core.graph.store import DynamicGraph
from olad_core.graph.typed_features import TypedFeatures
from service.export.failed import ExportFailed
from service.export.graph_at import GraphAt
from service.export.known_answers import KnownEdges, Numbers
from service.export.whole_file import written_whole
from service.replay.exported_types import ExportedTypes

OnRows = Callable[[int], None]
_PART = 10_000
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def export_graph(found: GraphAt, path: Path, on_rows: OnRows = lambda _rows: None) -> list[Path]:
    """Write the graph; each file is there whole or not at all.

    Args:
        found: the graph and its position.
        path: of the file; its suffix, one of :data:`WRITERS`, is its format.
        on_rows: called with the number of nodes and edges so far.

    Returns:
        The files: two for a format of tables, ``NAME.nodes.csv`` and ``NAME.edges.csv``.

    Raises:
        ExportFailed: the format is unknown, or cannot hold the graph.
    """
    require_format(path)
    return WRITERS[path.suffix](found, path, on_rows)


def require_format(path: Path) -> None:
    """Check the suffix of a file.

    Raises:
        ExportFailed: it is that of no format.
    """
    if path.suffix not in WRITERS:
        raise ExportFailed(f"{path}: name a file that ends with {', '.join(WRITERS)}")


def _renumbered(graph: DynamicGraph) -> tuple[npt.NDArray[np.int64], EdgeList]:
    """Rows of the nodes in the order of arrival, and edges whose ends are places in that order."""
    rows = graph.living()
    place = np.full(graph.capacity, -1, np.int64)
    place[rows] = np.arange(len(rows))
    edges = graph.edge_list()
    return rows, edges._replace(source=place[edges.source], target=place[edges.target])


def _directed(graph: DynamicGraph) -> npt.NDArray[np.bool_]:
    """Whether the edges of each type are directed."""
    return np.array([rule.directed for rule in graph.relation_rules.values()])


def _span_of(edges: EdgeList, span: slice) -> EdgeList:
    return EdgeList._make(column[span] for column in edges)


def _has_ids(graph: DynamicGraph) -> bool:
    """Whether edges of some type have ids."""
    return any(rule.ids for rule in graph.relation_rules.values())


def _arrays(found: GraphAt) -> dict[str, npt.NDArray[Any]]:
    """The graph as arrays, as ``olad replay`` reads them; those with other names are for other programs."""
    graph = found.graph
    rows, edges = _renumbered(graph)
    arrays: dict[str, npt.NDArray[Any]] = {
        "id": np.array(graph.ids(rows), np.str_),
        "label": graph.label[rows].astype(np.int64),
        "classes": np.array(graph.classes, np.str_),
        "edges": np.stack([edges.source, edges.target]),
        "edge_weight": edges.weight,
        "directed": np.array(graph.directed),
        "position": np.array(found.position),
    }
    if np.isfinite(edges.time).all():
        arrays["edge_time"] = edges.time
    if graph.edge_types:
        arrays |= {"edge_type": edges.relation, "edge_types": np.array(graph.relations, np.str_)}
        arrays["edge_type_directed"] = _directed(graph)
    if _has_ids(graph):
        arrays["edge_id"] = np.array([name or "" for name in graph.edge_ids()], np.str_)
    if graph.edge_feature_width:
        arrays["edge_x"] = graph.edge_features(edges)
        arrays["edge_type_width"] = np.array([rule.width for rule in graph.relation_rules.values()])
    if graph.node_types:
        widths = [each.feature_width or 0 for each in graph.node_types.values()]
        arrays |= {"node_type": _kinds(graph, rows), "node_types": np.array([*graph.node_types], np.str_)}
        arrays["node_type_width"] = np.array(widths)
    if graph.features.count:
        arrays |= {"x": graph.features.own(rows), "has_x": graph.features.has(rows)}
    return arrays | _known_arrays(found, rows)


def _known_arrays(found: GraphAt, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """What is known of the graph's tasks on edges and on values of nodes."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    values, of_edges = found.known.of_nodes(found.graph, rows), found.known.of_edges(found.graph)
    if values is not None:
        arrays["node_value"] = values
    if (labels := of_edges.numbered()) is not None:
        arrays |= {"edge_label": labels[0], "edge_classes": np.array(labels[1], np.str_)}
    if of_edges.values is not None:
        arrays["edge_value"] = of_edges.values
    return arrays


def _kinds(graph: DynamicGraph, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of each node's type, -1 where none is known."""
    assert isinstance(graph.features, TypedFeatures), "nodes have types"
    return graph.features.kind[rows].astype(np.int64)


def _own_width(graph: DynamicGraph, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of features of each node: those of its type, else of all; 0 where it has none."""
    if not graph.features.count:
        return np.zeros(len(rows), np.int64)
    widths = np.full(len(rows), graph.num_features or 0)
    if graph.node_types:
        widths = np.array([*(each.feature_width or 0 for each in graph.node_types.values()), 0])[_kinds(graph, rows)]
    own: npt.NDArray[np.int64] = np.where(graph.features.has(rows), widths, 0)
    return own


def _kind_names(graph: DynamicGraph, rows: npt.NDArray[np.int64]) -> list[str | None]:
    """Name of each node's type; None where none is known, or nodes have no types."""
    names = [*graph.node_types, None]
    return [names[kind] for kind in _kinds(graph, rows).tolist()] if graph.node_types else [None] * len(rows)


def _write_npz(found: GraphAt, path: Path, on_rows: OnRows) -> list[Path]:
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **_arrays(found))  # type: ignore[arg-type]
    on_rows(found.graph.num_nodes + found.graph.num_edges)
    return [path]


def _write_pyg(found: GraphAt, path: Path, on_rows: OnRows) -> list[Path]:
    import torch  # noqa: PLC0415 (large)

    from service.export.pyg_data import data_of, hetero_data_of  # noqa: PLC0415 (large)

    arrays = _arrays(found)
    typed = bool(found.graph.node_types)
    data = hetero_data_of(arrays, found.position, _types(found.graph)) if typed else data_of(arrays, found.position)
    with written_whole(path) as part:
        torch.save(data, part)
    on_rows(found.graph.num_nodes + found.graph.num_edges)
    return [path]


def _write_graphml(found: GraphAt, path: Path, on_rows: OnRows) -> list[Path]:
    graph = found.graph
    rows, edges = _renumbered(graph)
    width, ways = graph.features.widest if graph.features.count else 0, _directed(graph).tolist()
    node_values, of_edges = found.known.of_nodes(graph, rows), found.known.of_edges(graph)
    with written_whole(path) as part, part.open("w", encoding="utf-8") as file:
        _begin_graphml(file, found, width or 0, of_edges, has_values=node_values is not None)
        done = 0
        for first in range(0, len(rows), _PART):
            chosen = rows[first : first + _PART]
            parts = (chosen, graph.ids(chosen), graph.label[chosen].tolist(), _kind_names(graph, chosen))
            stated = _part_of(node_values, first, len(chosen))
            for row, name, label, kind, own, value in zip(
                *parts, _own_width(graph, chosen).tolist(), stated, strict=True
            ):
                file.write(f"<node id={_attribute(name)}>")
                if kind is not None:
                    file.write(f'<data key="node_type">{_text(kind)}</data>')
                if label >= 0:
                    file.write(f'<data key="label">{_text(graph.classes[label])}</data>')
                if value is not None:
                    file.write(f'<data key="value">{value!r}</data>')
                if own:
                    values = graph.features.own(np.array([row]))[0, :own].tolist()
                    file.writelines(f'<data key="x{at}">{value!r}</data>' for at, value in enumerate(values))
                file.write("</node>\n")
            done += len(chosen)
            on_rows(done)
        edge_ids, widths = graph.edge_ids(), [rule.width for rule in graph.relation_rules.values()]
        for first in range(0, len(edges.source), _PART):
            span = slice(first, first + _PART)
            sources, targets = graph.ids(rows[edges.source[span]]), graph.ids(rows[edges.target[span]])
            per_edge = (edges.weight, edges.time, edges.relation)
            named = edge_ids[span], graph.edge_features(_span_of(edges, span)).tolist()
            known = (_part_of(each, first, len(sources)) for each in of_edges)
            for source, target, weight, time, relation, name, x, label, value in zip(
                sources, targets, *(each[span].tolist() for each in per_edge), *named, *known, strict=True
            ):
                at = f'<data key="time">{time!r}</data>' if np.isfinite(time) else ""
                of_type = f'<data key="type">{_text(graph.relations[relation])}</data>' if graph.edge_types else ""
                of_type += f'<data key="edge_id">{_text(name)}</data>' if name else ""
                of_type += f'<data key="edge_label">{_text(label)}</data>' if label is not None else ""
                of_type += f'<data key="edge_value">{value!r}</data>' if value is not None else ""
                of_type += "".join(
                    f'<data key="edge_x{at}">{value!r}</data>' for at, value in enumerate(x[: widths[relation]])
                )
                # An undirected edge among directed ones stands in both directions: NetworkX reads no graph with both.
                twice = any(ways) and not ways[relation] and source != target
                for ends in [(source, target), (target, source)][: 2 if twice else 1]:
                    file.write("<edge source={} target={}>".format(*map(_attribute, ends)))
                    file.write(f'<data key="weight">{weight!r}</data>{at}{of_type}</edge>\n')
            done += len(sources)
            on_rows(done)
        file.write("</graph>\n</graphml>\n")
    return [path]


def _part_of(known: Numbers | list[str | None] | None, first: int, count: int) -> list[Any]:
    """What is known of so many nodes or edges, None where it is not."""
    if known is None:
        return [None] * count
    part = known[first : first + count]
    return part if isinstance(part, list) else [None if np.isnan(each) else each for each in part.tolist()]


def _begin_graphml(file: IO[str], found: GraphAt, width: int, of_edges: KnownEdges, *, has_values: bool) -> None:
    file.write('<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n')
    keys = [("graph", "position", "string"), ("node", "label", "string")]
    keys += [("node", f"x{at}", "double") for at in range(width)] + [("edge", name, "double") for name in _PER_EDGE]
    keys += [("edge", "type", "string")] if found.graph.edge_types else []
    keys += [("edge", "edge_id", "string")] if _has_ids(found.graph) else []
    keys += [("edge", f"edge_x{at}", "double") for at in range(found.graph.edge_feature_width)]
    keys += [("node", "value", "double")] if has_values else []
    keys += [("edge", "edge_label", "string")] if of_edges.labels is not None else []
    keys += [("edge", "edge_value", "double")] if of_edges.values is not None else []
    keys += [("node", "node_type", "string")] if found.graph.node_types else []
    keys += [("graph", "types", "string")] if found.graph.edge_types or found.graph.node_types else []
    for owner, name, kind in keys:
        file.write(f'<key id="{name}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>\n')
    direction = "directed" if _directed(found.graph).any() else "undirected"
    file.write(f'<graph edgedefault="{direction}"><data key="position">{found.position}</data>')
    if found.graph.edge_types or found.graph.node_types:
        file.write(f'<data key="types">{_text(_types(found.graph).model_dump_json())}</data>')
    file.write("\n")


def _types(graph: DynamicGraph) -> ExportedTypes:
    """The types of a graph."""
    ways = {name: rule.directed for name, rule in graph.relation_rules.items()} if graph.edge_types else {}
    widths = {name: each.feature_width for name, each in graph.node_types.items()}
    return ExportedTypes(directed=graph.directed, edge_types=ways, node_types=widths)


_PER_EDGE = ("weight", "time")


def _text(text: str) -> str:
    if _NOT_IN_XML.search(text):
        raise ExportFailed(f"XML cannot hold the characters of {json.dumps(text)}: export another format")
    return escape(text, {"\r": "&#13;"})  # Else it is read as the end of a line.


def _attribute(text: str) -> str:
    _text(text)
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _write_tables(found: GraphAt, path: Path, on_rows: OnRows) -> list[Path]:
    nodes, edges = (path.with_suffix(f".{part}{path.suffix}") for part in ("nodes", "edges"))
    _write_table(nodes, found, _node_tables(found), 0, on_rows)
    _write_table(edges, found, _edge_tables(found), found.graph.num_nodes, on_rows)
    return [nodes, edges]


def _write_table(path: Path, found: GraphAt, tables: Iterator[Any], done: int, on_rows: OnRows) -> None:
    from pyarrow import csv, parquet  # noqa: PLC0415 (an extra)

    with written_whole(path) as part, contextlib.ExitStack() as open_files:
        writer: Any = None
        for table in tables:
            described = table.replace_schema_metadata({"olad.position": found.position})
            if writer is None:
                kind = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
                writer = open_files.enter_context(kind(part, described.schema))
            writer.write_table(described)
            done += table.num_rows
            on_rows(done)


def _node_tables(found: GraphAt) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415 (an extra)

    graph, rows = found.graph, found.graph.living()
    names = pa.array(graph.classes, pa.string())
    width = graph.features.widest if graph.features.count else None
    stated = found.known.of_nodes(graph, rows)
    for first in range(0, max(1, len(rows)), _PART):
        chosen = rows[first : first + _PART]
        label = pa.array(graph.label[chosen], mask=graph.label[chosen] < 0)
        columns = {"node": pa.array(graph.ids(chosen), pa.string()), "label": names.take(label)}
        if graph.node_types:
            columns["type"] = pa.array(_kind_names(graph, chosen), pa.string())
        if width:
            own, values = _own_width(graph, chosen), graph.features.own(chosen)
            columns |= {f"x{at}": pa.array(values[:, at], mask=own <= at) for at in range(width)}
        if stated is not None:
            columns["value"] = pa.array(stated[first : first + _PART], from_pandas=True)
        yield pa.table(columns | {"position": pa.array([found.position] * len(chosen), pa.string())})


def _edge_tables(found: GraphAt) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415 (an extra)

    graph, edges = found.graph, found.graph.edge_list()
    names, ways = pa.array(graph.relations, pa.string()), _directed(graph)
    edge_ids = graph.edge_ids() if _has_ids(graph) else None
    widths = np.array([rule.width for rule in graph.relation_rules.values()])
    stated = found.known.of_edges(graph)
    for first in range(0, max(1, len(edges.source)), _PART):
        span = slice(first, first + _PART)
        times = edges.time[span]
        types = {"type": names.take(pa.array(edges.relation[span]))} if graph.edge_types else {}
        if edge_ids is not None:
            types["id"] = pa.array(edge_ids[span], pa.string())
        x, own = graph.edge_features(_span_of(edges, span)), widths[edges.relation[span]]
        types |= {f"x{at}": pa.array(x[:, at], mask=own <= at) for at in range(x.shape[1])}
        if stated.labels is not None:
            types["label"] = pa.array(stated.labels[span], pa.string())
        if stated.values is not None:
            types["value"] = pa.array(stated.values[span], from_pandas=True)
        yield pa.table(
            {
                "source": pa.array(graph.ids(edges.source[span]), pa.string()),
                "target": pa.array(graph.ids(edges.target[span]), pa.string()),
                **types,
                "weight": pa.array(edges.weight[span]),
                "time": pa.array(times, mask=~np.isfinite(times)),
                "directed": pa.array(ways[edges.relation[span]], pa.bool_()),
                "position": pa.array([found.position] * len(times), pa.string()),
            }
        )


WRITERS: dict[str, Callable[[GraphAt, Path, OnRows], list[Path]]] = {
    ".npz": _write_npz,
    ".graphml": _write_graphml,
    ".pt": _write_pyg,
    ".parquet": _write_tables,
    ".csv": _write_tables,
}
"""Suffix of a file, and what writes it."""
