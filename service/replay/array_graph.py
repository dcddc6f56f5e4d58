"""A graph out of arrays that a file holds: what does not fit is refused by the name of the array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from olad_core.events import MAX_FEATURE_WIDTH, MAX_ID_BYTES, MAX_LABEL_BYTES, MAX_TIME, MAX_WEIGHT
from olad_core.graph_types import EdgeType, NodeType
from service.replay.archive_graph import Bools, Floats, GraphDataset, SparseRows
from service.replay.arrival_stream import UnreadableDataset

Arrays = dict[str, npt.NDArray[Any]]
_OWN_NAMES: Mapping[str, str] = MappingProxyType({})
_MOST_UNNAMED = 10_000
"""A number of classes that may stand without names, however few nodes there are."""


def graph_of_arrays(arrays: Arrays, path: Path, names: Mapping[str, str] = _OWN_NAMES) -> GraphDataset:
    """The graph of N nodes and E edges that arrays hold.

    Args:
        arrays: ``edges`` ``[2, E]`` and ``label`` ``[N]`` with -1 for unknown. Where there are any: ``classes``, ``id``
            ``[N]``, ``node_time`` ``[N]``, ``edge_time`` and ``edge_weight`` ``[E]``, ``directed``, and features: dense
            as ``x`` ``[N, F]`` with ``has_x`` ``[N]``, or CSR in ``x_data``, ``x_indices``, ``x_indptr``, ``x_shape``.
            Types of edges: ``edge_type`` ``[E]``, numbers of the names in ``edge_types`` ``[R]``, and
            ``edge_type_directed`` ``[R]`` where some have a direction of their own. ``edge_id`` ``[E]``, texts that are
            empty for edges of a type that has no ids. ``edge_x`` ``[E, D]`` with ``edge_type_width`` ``[R]``: features
            of edges, those of each type in so many first columns. Types of nodes: ``node_type``
            ``[N]``, numbers of the names in ``node_types`` ``[T]`` or -1, and ``node_type_width`` ``[T]``, how many of
            the columns of a dense ``x`` are features of each.
        path: of the file, for messages.
        names: what the arrays are called in the file, where that is another name.

    Raises:
        UnreadableDataset: naming the file, the array that does not fit, and what to do.
    """
    try:
        return _graph(arrays, path)
    except UnreadableDataset as error:
        problem = str(error)
        for ours, theirs in names.items():
            problem = problem.replace(f"'{ours}'", f"'{theirs}'")
        raise UnreadableDataset(problem) from None


def _graph(arrays: Arrays, path: Path) -> GraphDataset:
    labels = integers(arrays, "label", path)
    if labels.ndim != 1:
        refuse(path, f"'label' must have shape (N,), not {labels.shape}")
    edges = _edges(arrays, len(labels), path)
    directed = arrays.get("directed", np.array(False))
    if directed.dtype != np.bool_ or directed.shape:
        refuse(path, "'directed' is one value, true or false")
    return GraphDataset(
        labels=labels,
        classes=_classes(arrays, labels, path),
        edges=edges,
        node_time=_times(arrays, "node_time", len(labels), path),
        edge_time=_times(arrays, "edge_time", edges.shape[1], path),
        features=_features(arrays, len(labels), path),
        ids=_ids(arrays, len(labels), path),
        edge_weight=_weights(arrays, edges.shape[1], path),
        has_features=_has_features(arrays, len(labels), path),
        directed=bool(directed),
        edge_type=_numbers(arrays, "edge_type", edges.shape[1], path),
        edge_types=_edge_types(arrays, path),
        edge_ids=_edge_ids(arrays, edges.shape[1], path),
        edge_x=_edge_features(arrays, edges.shape[1], path),
        node_type=_numbers(arrays, "node_type", len(labels), path),
        node_types=_node_types(arrays, path),
    )


def refuse(path: Path, problem: str) -> NoReturn:
    """Raise the error of a file."""
    raise UnreadableDataset(f"{path}: {problem}")


def integers(arrays: Arrays, key: str, path: Path) -> npt.NDArray[np.int64]:
    """An array of whole numbers, which may be stored as floats."""
    array = arrays[key]
    if array.dtype.kind in "US":
        what = "store class numbers in 'label', and the names in 'classes'" if key == "label" else "store numbers"
        refuse(path, f"'{key}' holds text: {what} (np.unique(..., return_inverse=True) gives both)")
    if array.dtype.kind not in "biuf":
        refuse(path, f"'{key}' holds {array.dtype}, not whole numbers")
    with np.errstate(invalid="ignore"):
        whole: npt.NDArray[np.int64] = array.astype(np.int64)
    if not np.array_equal(whole, array):
        wrong = array[whole != array].ravel()[0]
        unknown = "; the label of a node that has none is -1" if key == "label" else ""
        refuse(path, f"'{key}' holds {wrong}, which is no whole number of 64 bits{unknown}")
    return whole


def _floats(arrays: Arrays, key: str, path: Path) -> npt.NDArray[np.float64]:
    """An array of numbers, all finite."""
    array = arrays[key]
    if array.dtype.kind in "mM":
        refuse(path, f"'{key}' holds dates: store numbers, as .astype('datetime64[s]').astype(np.int64) makes them")
    if array.dtype.kind not in "biuf":
        refuse(path, f"'{key}' holds {'text' if array.dtype.kind in 'US' else array.dtype}, not numbers")
    return array.astype(np.float64)


def _edges(arrays: Arrays, nodes: int, path: Path) -> npt.NDArray[np.int64]:
    edges = integers(arrays, "edges", path)
    if edges.ndim != 2 or edges.shape[0] != 2:
        turned = ": transpose it" if edges.ndim == 2 and edges.shape[1] == 2 else ""
        refuse(path, f"'edges' must have shape (2, E), not {edges.shape}{turned}")
    outside = (edges < 0) | (edges >= nodes)
    if outside.any():
        end, at = (int(place[0]) for place in np.nonzero(outside))
        refuse(
            path,
            f"'edges' names nodes outside 0..{nodes - 1}: edges[{end}, {at}] is {edges[end, at]}. Nodes are numbered "
            "as they stand in 'label'",
        )
    return edges


def _numbers(arrays: Arrays, key: str, count: int, path: Path) -> npt.NDArray[np.int64] | None:
    """The number of the type of each edge, or of each node, whose type may be unknown."""
    if key not in arrays:
        return None
    found, names, what = integers(arrays, key, path), arrays.get(f"{key}s", np.empty(0)).size, key.partition("_")[0]
    if found.shape != (count,):
        refuse(path, f"'{key}' must have shape ({count},), one for each {what}, not {found.shape}")
    if found.size and not (-1 if what == "node" else 0) <= found.min() <= found.max() < names:
        refuse(path, f"'{key}' holds numbers outside 0..{names - 1}: '{key}s' has {names} names")
    return found


def _node_types(arrays: Arrays, path: Path) -> dict[str, NodeType]:
    """The types of nodes by name."""
    names = [_name(name) for name in arrays.get("node_types", np.empty(0, np.str_)).ravel().tolist()]
    widths = integers(arrays, "node_type_width", path).ravel().tolist() if "node_type_width" in arrays else []
    most = arrays["x"].shape[-1] if "x" in arrays and arrays["x"].ndim else MAX_FEATURE_WIDTH
    if len(widths) != len(names) or len(set(names)) != len(names) or (names and "x_data" in arrays):
        refuse(path, "'node_types' must have distinct names, 'node_type_width' one number for each, and 'x' be dense")
    if any(not 0 <= width <= most for width in widths):
        refuse(path, "'node_type_width' holds a number that 'x' has not as many columns as")
    return {name: NodeType(feature_width=width or None) for name, width in zip(names, widths, strict=True)}


def _edge_types(arrays: Arrays, path: Path) -> dict[str, EdgeType]:
    """The types of edges by name."""
    names = [_name(name) for name in arrays.get("edge_types", np.empty(0, np.str_)).ravel().tolist()]
    directed = arrays.get("edge_type_directed", np.full(len(names), None)).ravel().tolist()
    if len(directed) != len(names) or len(set(names)) != len(names):
        refuse(path, "'edge_types' must have distinct names, and 'edge_type_directed' one value for each")
    if "edge_x" in arrays and "edge_type_width" not in arrays:
        refuse(path, "'edge_x' needs 'edge_type_width': how many of its columns are features of each type")
    ids = np.zeros(len(names), np.bool_)
    if "edge_id" in arrays and arrays["edge_id"].shape == arrays.get("edge_type", ids).shape:
        ids[integers(arrays, "edge_type", path)[arrays["edge_id"] != ""]] = True
    widths = integers(arrays, "edge_type_width", path).ravel().tolist() if "edge_x" in arrays else [0] * len(names)
    most = arrays["edge_x"].shape[-1] if "edge_x" in arrays and arrays["edge_x"].ndim == 2 else 0
    if len(widths) != len(names) or any(not 0 <= width <= most for width in widths):
        refuse(path, "'edge_type_width' must have one number for each type, not above the columns of 'edge_x'")
    return {
        name: EdgeType(directed=None if way is None else bool(way), ids=own, feature_width=width or None)
        for name, way, own, width in zip(names, directed, ids.tolist(), widths, strict=True)
    }


def _edge_features(arrays: Arrays, edges: int, path: Path) -> npt.NDArray[np.float32] | None:
    if "edge_x" not in arrays:
        return None
    if "edge_type" not in arrays:
        refuse(path, "'edge_x' needs 'edge_type', 'edge_types' and 'edge_type_width': features are those of a type")
    x = _float32(arrays, "edge_x", path)
    if x.ndim != 2 or len(x) != edges:
        refuse(path, f"'edge_x' must have shape ({edges}, D), not {x.shape}")
    return x


def _edge_ids(arrays: Arrays, edges: int, path: Path) -> tuple[str, ...] | None:
    if "edge_id" not in arrays:
        return None
    ids = arrays["edge_id"]
    if ids.shape != (edges,) or ids.dtype.kind != "U":
        refuse(path, f"'edge_id' must hold {edges} texts, not {ids.dtype} of shape {ids.shape}")
    if "edge_type" not in arrays:
        refuse(path, "'edge_id' needs 'edge_type' and 'edge_types': ids are those of a type")
    names = tuple(ids.tolist())
    longest = max((len(name.encode()) for name in names), default=0)
    if longest > MAX_ID_BYTES:
        refuse(path, f"'edge_id' has an id of {longest} bytes: ids have 1 to {MAX_ID_BYTES}")
    types = arrays["edge_type"].tolist()
    twice = [name for (name, _), times in Counter(zip(names, types, strict=True)).items() if times > 1 and name]
    if twice:
        refuse(path, f"'edge_id' has {twice[0]!r} twice in a type: each edge has an id of its own")
    with_ids = {kind for name, kind in zip(names, types, strict=True) if name}
    if any(kind in with_ids for name, kind in zip(names, types, strict=True) if not name):
        refuse(path, "'edge_id' is empty for an edge of a type whose other edges have ids")
    return names


def _classes(arrays: Arrays, labels: npt.NDArray[np.int64], path: Path) -> tuple[str, ...]:
    count = int(labels.max(initial=-1)) + 1
    if "classes" not in arrays:
        if count > max(_MOST_UNNAMED, len(labels)):
            refuse(path, f"'label' goes up to {count - 1}: number the classes from 0 (np.unique, return_inverse=True)")
        return tuple(str(number) for number in range(count))
    if arrays["classes"].ndim != 1:
        refuse(path, f"'classes' must have shape (C,), not {arrays['classes'].shape}")
    names = tuple(_name(name) for name in arrays["classes"].tolist())
    if len(names) < count:
        refuse(path, f"'label' goes up to {count - 1} but 'classes' names {len(names)}")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        refuse(path, f"'classes' names {twice[0]!r} twice: give each class a name of its own, or one number")
    for name in names:
        if not 1 <= len(name.encode()) <= MAX_LABEL_BYTES:
            refuse(path, f"'classes' has a name of {len(name.encode())} bytes: names have 1 to {MAX_LABEL_BYTES}")
    return names


def _name(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _ids(arrays: Arrays, nodes: int, path: Path) -> tuple[str, ...] | None:
    if "id" not in arrays:
        return None
    ids = arrays["id"]
    if ids.shape != (nodes,) or ids.dtype.kind not in "USiu":
        refuse(path, f"'id' must hold {nodes} texts or whole numbers, not {ids.dtype} of shape {ids.shape}")
    names = tuple(_name(name) for name in ids.tolist())
    for name in names:
        if not 1 <= len(name.encode()) <= MAX_ID_BYTES:
            refuse(path, f"'id' has an id of {len(name.encode())} bytes: ids have 1 to {MAX_ID_BYTES}")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        refuse(path, f"'id' has {twice[0]!r} twice: each node has an id of its own")
    return names


def _weights(arrays: Arrays, edges: int, path: Path) -> Floats | None:
    if "edge_weight" not in arrays:
        return None
    weights = _floats(arrays, "edge_weight", path)
    if weights.shape != (edges,):
        refuse(path, f"'edge_weight' must have shape ({edges},), not {weights.shape}")
    wrong = np.flatnonzero(~((weights > 0) & (weights <= MAX_WEIGHT)))
    if len(wrong):
        refuse(path, f"'edge_weight' has {weights[wrong[0]]:g} at [{wrong[0]}]: above 0 and at most {MAX_WEIGHT:g}")
    return weights


def _has_features(arrays: Arrays, nodes: int, path: Path) -> Bools | None:
    if "has_x" not in arrays:
        return None
    has = arrays["has_x"]
    if has.shape != (nodes,) or has.dtype != np.bool_:
        refuse(path, f"'has_x' must hold {nodes} times true or false, not {has.dtype} of shape {has.shape}")
    return has


def _times(arrays: Arrays, key: str, length: int, path: Path) -> Floats | None:
    if key not in arrays:
        return None
    times = _floats(arrays, key, path)
    if times.shape != (length,):
        refuse(path, f"'{key}' must have shape ({length},), not {times.shape}")
    if not np.isfinite(times).all():
        refuse(path, f"'{key}' has a time that is not finite ({_first_infinite(times)}): give every one a time")
    if np.abs(times).max(initial=0) > MAX_TIME:
        refuse(path, f"'{key}' has a time beyond {MAX_TIME:g}")
    return times


def _features(arrays: Arrays, nodes: int, path: Path) -> npt.NDArray[np.float32] | SparseRows | None:
    if "x" in arrays:
        dense = _float32(arrays, "x", path)
        if dense.ndim != 2 or len(dense) != nodes:
            refuse(path, f"'x' must have shape ({nodes}, F), not {dense.shape}")
        _check_width(dense.shape[1], "x", path)
        return dense
    parts = [key for key in ("x_data", "x_indices", "x_indptr", "x_shape") if key in arrays]
    if not parts:
        return None
    if len(parts) < 4:
        refuse(path, f"sparse features need x_data, x_indices, x_indptr and x_shape; only {', '.join(parts)} there")
    shape = integers(arrays, "x_shape", path)
    if shape.shape != (2,) or shape[0] != nodes:
        refuse(path, f"'x_shape' must be ({nodes}, F), not {shape.tolist()}")
    _check_width(int(shape[1]), "x_shape", path)
    rows = SparseRows(
        values=_float32(arrays, "x_data", path),
        indices=integers(arrays, "x_indices", path),
        indptr=integers(arrays, "x_indptr", path),
        width=int(shape[1]),
    )
    if rows.values.ndim != 1 or rows.indices.shape != rows.values.shape:
        refuse(path, "'x_data' and 'x_indices' do not fit each other: save both of one CSR matrix")
    if not are_pointers(rows.indptr, nodes, len(rows.values)):
        refuse(path, f"'x_indptr' and 'x_data' do not fit each other, or {nodes} nodes: save both of one CSR matrix")
    if rows.indices.size and not 0 <= rows.indices.min() <= rows.indices.max() < rows.width:
        refuse(path, f"'x_indices' goes outside 0..{rows.width - 1}")
    places = np.repeat(np.arange(nodes), np.diff(rows.indptr)) * rows.width + rows.indices
    if len(np.unique(places)) < len(places):
        refuse(path, "'x_indices' names a column twice in one row: call sum_duplicates() of the matrix before saving")
    return rows


def _float32(arrays: Arrays, key: str, path: Path) -> npt.NDArray[np.float32]:
    """Features: finite as float32."""
    if arrays[key].dtype.kind not in "biuf":
        _floats(arrays, key, path)
    with np.errstate(over="ignore"):
        features: npt.NDArray[np.float32] = arrays[key].astype(np.float32)
    if not np.isfinite(features).all():
        refuse(
            path,
            f"'{key}' has a number that is not finite in float32 ({_first_infinite(features)}): leave NaN and "
            "infinities out, as with np.nan_to_num",
        )
    return features


def _check_width(width: int, key: str, path: Path) -> None:
    if not 1 <= width <= MAX_FEATURE_WIDTH:
        refuse(path, f"'{key}' has {width} features a node: 1 to {MAX_FEATURE_WIDTH:,}, or leave the array out")


def are_pointers(indptr: npt.NDArray[np.int64], rows: int, entries: int) -> bool:
    """Whether these cut so many entries into so many rows."""
    if indptr.ndim != 1 or len(indptr) != rows + 1 or not len(indptr):
        return False
    return bool(indptr[0] == 0 and indptr[-1] == entries and (np.diff(indptr) >= 0).all())


def _first_infinite(array: npt.NDArray[Any]) -> str:
    at = tuple(int(place[0]) for place in np.nonzero(~np.isfinite(array)))
    return f"at {list(at)}: {array[at]}"
