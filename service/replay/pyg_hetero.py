"""``HeteroData`` of PyG as arrays: the nodes of its types one after the other, and the edges of its types."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from olad_core.graph_types import MAX_EDGE_TYPES, MAX_NODE_TYPES, RELATION
from service.replay.array_graph import Arrays, refuse
from service.replay.arrival_stream import UnreadableDataset
from service.replay.exported_types import ExportedTypes
from service.replay.pyg_tensors import (
    Parts,
    array_of,
    direction_of,
    edge_index_of,
    flat,
    labels_of,
    number_of_nodes,
    per_edge_of,
)

Triple = tuple[str, str, str]
REVERSED = "rev_"
"""What PyG writes before the name of a type whose edges are those of another type, turned round."""
_OF_NODES = {"x", "has_x", "y", "node_id", "num_nodes", "time", "node_time"}
_PER_EDGE = {"edge_weight": "edge_weight", "time": "edge_time", "edge_time": "edge_time"}
_OF_EDGES = {"edge_index", *_PER_EDGE}
_SHARED = {"classes", "position", "schema"}


@dataclass(frozen=True)
class HeteroParts:
    """What a ``HeteroData`` holds.

    Attributes:
        nodes: values of the nodes of each type, by name.
        edges: values of the edges from one type of nodes to another, by name.
        shared: values of the whole graph.
    """

    nodes: Mapping[str, Parts]
    edges: Mapping[Triple, Parts]
    shared: Parts

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of what is not read."""
        groups = [*((kind, parts, _OF_NODES) for kind, parts in self.nodes.items())]
        groups += [("__".join(triple), parts, _OF_EDGES) for triple, parts in self.edges.items()]
        named = [f"{group}.{key}" for group, parts, read in groups for key in parts if key not in read]
        return (*named, *(key for key in self.shared if key not in _SHARED))


@dataclass(frozen=True)
class _Edges:
    """Edges of one type between two types of nodes, ends ``[2, E]`` numbered over all nodes."""

    ends: npt.NDArray[np.int64]
    values: Arrays
    directed: bool


def hetero_arrays(parts: HeteroParts, path: Path) -> Arrays:
    """The arrays that :func:`~service.replay.array_graph.graph_of_arrays` reads.

    A type of edges that PyG's ``ToUndirected`` added, or that holds the edges of another one turned round, is not a
    type of its own: the edges of both are undirected. The name of a type of edges is that of its relation, with those
    of both ends where several have it. What ``olad export`` wrote states directions itself.

    Raises:
        UnreadableDataset: naming what does not fit.
    """
    ends = {triple: _ends(each, triple, path) for triple, each in parts.edges.items()}
    if not parts.nodes and not ends:
        refuse(path, "a HeteroData without nodes and edges")
    kinds = [*dict.fromkeys((*parts.nodes, *(kind for src, _, dst in ends for kind in (src, dst))))]
    counts = [_count(parts.nodes.get(kind, {}), kind, ends, path) for kind in kinds]
    first = dict(zip(kinds, np.cumsum([0, *counts]).tolist(), strict=False))
    for triple, both in ends.items():
        for kind, end in zip((triple[0], triple[2]), both, strict=True):
            if len(end) and not 0 <= end.min() <= end.max() < counts[kinds.index(kind)]:
                refuse(path, f"'{'__'.join(triple)}.edge_index' names nodes of '{kind}' that there are not")
    stated = _stated(parts.shared.get("schema"))
    numbered = {
        triple: np.stack([both[0] + first[triple[0]], both[1] + first[triple[2]]]) for triple, both in ends.items()
    }
    arrays = _node_arrays(parts, kinds, counts, stated, path)
    return arrays | _edge_arrays(parts, numbered, stated, path)


def _stated(schema: Any) -> ExportedTypes | None:
    """What ``olad export`` states of types; None in a file of others."""
    try:
        return ExportedTypes.model_validate(schema)
    except ValidationError:
        return None


def _count(parts: Parts, kind: str, ends: Mapping[Triple, npt.NDArray[Any]], path: Path) -> int:
    of_kind = [end for triple, both in ends.items() for at, end in zip(triple[::2], both, strict=True) if at == kind]
    with _of(kind):
        return number_of_nodes(parts, np.concatenate([np.empty(0, np.int64), *of_kind]), path)


def _ends(parts: Parts, triple: Triple, path: Path) -> npt.NDArray[Any]:
    name = "__".join(triple)
    if "edge_index" not in parts:
        refuse(path, f"'{name}' has no edge_index; it has {', '.join(parts) or 'nothing'}")
    with _of(name):
        return edge_index_of(parts, path)


def _node_arrays(
    parts: HeteroParts, kinds: Sequence[str], counts: Sequence[int], stated: ExportedTypes | None, path: Path
) -> Arrays:
    declared = [*stated.node_types] if stated is not None else [*kinds]
    if len(declared) > MAX_NODE_TYPES:
        refuse(path, f"has {len(declared)} types of nodes: {MAX_NODE_TYPES} at most")
    widths = {kind: (stated.node_types[kind] or 0) if stated is not None else 0 for kind in declared}
    blocks, has, labels, times, number = [], [], [], [], []
    for kind, count in zip(kinds, counts, strict=True):
        own = parts.nodes.get(kind, {})
        with _of(kind):
            x = array_of(own, "x", path) if "x" in own else np.zeros((count, 0))
            if x.ndim != 2 or len(x) != count:
                refuse(path, f"'x' must have shape ({count}, F), not {x.shape}")
            blocks.append(x)
            has.append(flat(own, "has_x", path) if "has_x" in own else np.full(count, "x" in own))
            labels.append(labels_of(own, count, path))
            key = next((key for key in ("time", "node_time") if key in own), None)
            times.append(np.full(count, np.nan) if key is None else flat(own, key, path).astype(np.float64))
        number.append(np.full(count, declared.index(kind) if kind in declared else -1))
        if kind in widths and stated is None:
            widths[kind] = x.shape[1]
    arrays: Arrays = {
        "label": np.concatenate([np.empty(0, np.int64), *labels]),
        "id": _ids(parts, kinds, counts),
        "node_type": np.concatenate([np.empty(0, np.int64), *number]),
        "node_types": np.array(declared, np.str_),
        "node_type_width": np.array([*widths.values()], np.int64),
    }
    if any(x.shape[1] for x in blocks):
        arrays |= {"x": _side_by_side(blocks), "has_x": np.concatenate(has)}
    return arrays | _classes(parts, kinds, labels, path) | _filled("node_time", times)


def _side_by_side(blocks: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """Rows of the greatest width, zeros beyond a narrower one."""
    x = np.zeros((sum(map(len, blocks)), max(block.shape[1] for block in blocks)), np.float32)
    first = 0
    for block in blocks:
        x[first : first + len(block), : block.shape[1]] = block
        first += len(block)
    return x


def _filled(key: str, times: Sequence[npt.NDArray[np.float64]]) -> Arrays:
    """Times, the earliest where there are none; nothing where nothing has one."""
    found = np.concatenate([np.empty(0), *times])
    known = found[np.isfinite(found)]
    return {key: np.where(np.isnan(found), known.min(), found)} if len(known) else {}


def _classes(parts: HeteroParts, kinds: Sequence[str], labels: Sequence[npt.NDArray[Any]], path: Path) -> Arrays:
    """Names of the classes, where they are stated."""
    if "classes" in parts.shared:
        names = np.array([str(name) for name in parts.shared["classes"]], np.str_)
        return {"classes": names} if len(names) else {}
    having = [kind for kind, own in zip(kinds, labels, strict=True) if (own >= 0).any()]
    if len(having) > 1:
        refuse(
            path,
            f"'{having[0]}.y' and '{having[1]}.y' may number different classes: name those of the whole graph in a "
            "list 'classes', or leave all but one out",
        )
    return {}


def _ids(parts: HeteroParts, kinds: Sequence[str], counts: Sequence[int]) -> npt.NDArray[np.str_]:
    """Ids as they stand there, with the type before them where two types share one; else the type and a number."""
    own = [
        [str(name) for name in parts.nodes.get(kind, {}).get("node_id", range(count))]
        for kind, count in zip(kinds, counts, strict=True)
    ]
    alone = len({name for names in own for name in names}) == sum(map(len, own))
    if alone and all(
        "node_id" in parts.nodes.get(kind, {}) or not count for kind, count in zip(kinds, counts, strict=True)
    ):
        return np.array([name for names in own for name in names], np.str_)
    return np.array([f"{kind}-{name}" for kind, names in zip(kinds, own, strict=True) for name in names], np.str_)


def _edge_arrays(
    parts: HeteroParts, ends: Mapping[Triple, npt.NDArray[np.int64]], stated: ExportedTypes | None, path: Path
) -> Arrays:
    values = {}
    for triple in ends:
        with _of("__".join(triple)):
            values[triple] = per_edge_of(parts.edges[triple], _PER_EDGE, ends[triple].shape[1], path)
    found = _as_stated(ends, values, stated) if stated is not None else _as_found(ends, values)
    names = {triple: triple[1] for triple in found} if stated is not None else relation_names([*found])
    types = [*(stated.edge_types if stated is not None else dict.fromkeys(names.values()))]
    if len(types) > MAX_EDGE_TYPES:
        refuse(path, f"has {len(types)} types of edges: {MAX_EDGE_TYPES} at most")
    every = [np.empty((2, 0), np.int64), *(each.ends for each in found.values())]
    arrays: Arrays = {"edges": np.concatenate(every, axis=1)}
    if any("edge_weight" in each.values for each in found.values()):
        weights = [each.values.get("edge_weight", np.ones(each.ends.shape[1])) for each in found.values()]
        arrays["edge_weight"] = np.concatenate(weights)
    unknown = [each.values.get("edge_time", np.full(each.ends.shape[1], np.nan)) for each in found.values()]
    arrays |= _filled("edge_time", unknown)
    if stated is not None and not stated.edge_types:
        return arrays | {"directed": np.array(stated.directed)}
    ways = stated.edge_types if stated is not None else {names[triple]: each.directed for triple, each in found.items()}
    numbers = [np.full(each.ends.shape[1], types.index(names[triple])) for triple, each in found.items()]
    return arrays | {
        "directed": np.array(stated.directed if stated is not None else all(ways.values())),
        "edge_type": np.concatenate([np.empty(0, np.int64), *numbers]),
        "edge_types": np.array(types, np.str_),
        "edge_type_directed": np.array([bool(ways[name]) for name in types], np.bool_),
    }


def _as_stated(
    ends: Mapping[Triple, npt.NDArray[np.int64]], values: Mapping[Triple, Arrays], stated: ExportedTypes
) -> dict[Triple, _Edges]:
    """Edges with the directions that ``olad export`` wrote; types that it did not declare hold edges turned round."""
    ways = stated.edge_types or {RELATION: stated.directed}
    found = {}
    for triple in ends:
        if triple[1] in ways:
            directed = bool(ways[triple[1]])
            # Between nodes of one type an undirected edge stands in both directions.
            stated_way = directed or triple[0] != triple[2]
            found[triple] = replace(_kept(ends[triple], values[triple], stated_way), directed=directed)
    return found


def _as_found(ends: Mapping[Triple, npt.NDArray[np.int64]], values: Mapping[Triple, Arrays]) -> dict[Triple, _Edges]:
    """Edges with the directions that they show."""
    turned = _turned_round(ends, values)
    found = {}
    for triple in ends:
        if triple in turned:
            continue
        if triple in turned.values():
            found[triple] = _Edges(ends[triple], values[triple], directed=False)
        else:
            found[triple] = _kept(ends[triple], values[triple], None if triple[0] == triple[2] else True)
    return found


def _kept(ends: npt.NDArray[np.int64], values: Arrays, stated: bool | None) -> _Edges:
    """All edges where they go one way, as stated or found; else each undirected one once."""
    directed, kept = direction_of(ends, values, stated)
    return _Edges(ends[:, kept], {key: each[kept] for key, each in values.items()}, directed)


def _turned_round(
    ends: Mapping[Triple, npt.NDArray[np.int64]], values: Mapping[Triple, Arrays]
) -> dict[Triple, Triple]:
    """Types that hold the edges of another type turned round, and that type."""
    found: dict[Triple, Triple] = {}
    for triple in ends:
        src, name, dst = triple
        for other in ((dst, name.removeprefix(REVERSED), src), (dst, name, src)):
            is_other = other != triple and other in ends and other not in found and triple not in found.values()
            if is_other and _same(ends[triple][::-1], values[triple], ends[other], values[other]):
                found[triple] = other
                break
    return found


def _same(ends: npt.NDArray[Any], values: Arrays, other: npt.NDArray[Any], others: Arrays) -> bool:
    """Whether these are the same edges with the same values, in any order."""
    if ends.shape != other.shape or values.keys() != others.keys():
        return False
    first, second = (
        np.stack([*each, *(of_edges[key] for key in sorted(values))]).astype(np.float64)
        for each, of_edges in ((ends, values), (other, others))
    )
    return np.array_equal(first[:, np.lexsort(first)], second[:, np.lexsort(second)])


def relation_names(triples: Sequence[Triple]) -> dict[Triple, str]:
    """A name for each type of edges: that of its relation, with those of both ends where several have it.

    >>> [*relation_names([("a", "knows", "a"), ("a", "to", "b"), ("b", "to", "c")]).values()]
    ['knows', 'a__to__b', 'b__to__c']
    """
    times = Counter(name for _, name, _ in triples)
    return {triple: triple[1] if times[triple[1]] == 1 else "__".join(triple) for triple in triples}


@contextlib.contextmanager
def _of(group: str) -> Iterator[None]:
    """Name the values in errors with the type that has them."""
    try:
        yield
    except UnreadableDataset as error:
        raise UnreadableDataset(re.sub(r"'([a-z_]+)'", rf"'{group}.\1'", str(error), count=1)) from None
