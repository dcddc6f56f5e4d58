"""``Data`` and ``TemporalData`` of PyG that ``torch.save`` wrote, read without running what the file may hold."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from service.replay.archive_graph import GraphDataset
from service.replay.array_graph import Arrays, graph_of_arrays, refuse
from service.replay.event_files import opened_whole
from service.replay.pyg_library import pyg_data, safe_classes

_NAMES = {"edges": "edge_index", "label": "y", "id": "node_id"}
"""Names of :func:`graph_of_arrays`, and those of PyG."""
_READ = {
    "x", "y", "edge_index", "edge_weight", "edge_time", "node_time", "time", "node_id", "classes", "directed", "has_x",
    "num_nodes", "position",
}  # fmt: skip
_TEMPORAL = ("src", "dst", "t")
_BROKEN = (RuntimeError, ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True)
class SavedGraph:
    """A ``Data``.

    Attributes:
        graph: what it holds.
        left_out: names of what it holds beside that.
    """

    graph: GraphDataset
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class SavedEvents:
    """A ``TemporalData`` of E events.

    Attributes:
        columns: arrays ``[E]``: ``src``, ``dst``, ``t`` and, where there are any, ``y`` and ``msg.0``, ``msg.1`` ...
    """

    columns: Arrays


def read_saved(path: Path) -> SavedGraph | SavedEvents:
    """Read what ``torch.save`` wrote: a ``Data``, a ``TemporalData``, one of them as a dict, or a stored dataset.

    Raises:
        UnreadableDataset: naming the file, what is in it, and what to do.
        ModuleNotFoundError: torch or PyG is not installed.
    """
    saved = _load(path)
    if isinstance(saved, tuple | list):
        saved = _of_dataset(saved, path)
    parts = _parts(saved, path)
    if "edge_index" not in parts and all(key in parts for key in _TEMPORAL):
        return SavedEvents(_event_columns(parts, path))
    if "edge_index" not in parts:
        more = "; save adj_t as edge_index (torch_geometric.utils.to_edge_index)" if "adj_t" in parts else ""
        refuse(path, f"has no edge_index, and not src, dst and t; it has {', '.join(parts) or 'nothing'}{more}")
    left_out = tuple(key for key in parts if key not in _READ)
    return SavedGraph(graph_of_arrays(_arrays(parts, path), path, _NAMES), left_out)


def _load(path: Path) -> Any:
    classes = safe_classes()
    try:
        with opened_whole(path) as file, torch.serialization.safe_globals(classes):
            unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
            if unsafe:
                refuse(path, _unsafe(file, sorted(unsafe)))
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        if str(error).startswith(str(path)):
            raise
        reason = next(iter(re.split(r"\n|\. ", str(error))), "")[:120]
        refuse(path, f"not a whole file of torch.save ({reason}): save or copy it again")


def _unsafe(file: Any, names: list[str]) -> str:
    """What a file is that is not read, by the names that its pickle asks for."""
    with zipfile.ZipFile(file) as archive:
        pickles = b"".join(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    if b"HeteroData" in pickles:
        return (
            "a HeteroData of PyG: nodes and edges of several types are not read yet. Save one type of each as a Data, "
            "or all as one with data.to_homogeneous()"
        )
    return (
        f"holds {names[0]}, which is no part of a Data and is never run: save a Data of PyG whose values are tensors, "
        "texts and numbers"
    )


def _of_dataset(saved: Any, path: Path) -> Any:
    """The one graph of what ``InMemoryDataset`` stores, a dict with slices and a class, or of a list."""
    if len(saved) == 1:
        return saved[0]
    if isinstance(saved, tuple) and isinstance(saved[0], dict | pyg_data().Data):
        slices = saved[1]
        index = slices.get("edge_index", ()) if isinstance(slices, dict) else ()
        if len(index) <= 2:
            return saved[0]
        refuse(path, f"holds {len(index) - 1:,} graphs: save the one to read")
    return refuse(path, f"holds {len(saved):,} objects: save the one graph to read")


def _parts(saved: Any, path: Path) -> dict[str, Any]:
    library = pyg_data()
    if isinstance(saved, library.Data | library.TemporalData):
        parts: dict[str, Any] = saved.to_dict()
    elif isinstance(saved, Mapping):
        parts = {str(key): value for key, value in saved.items()}
    else:
        refuse(path, f"holds a {type(saved).__name__}, not a Data of PyG")
    return {key: value for key, value in parts.items() if value is not None}


def _arrays(parts: dict[str, Any], path: Path) -> Arrays:
    edges = _array(parts, "edge_index", path)
    if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
        refuse(path, f"'edge_index' must hold whole numbers of shape (2, E), not {edges.dtype} of shape {edges.shape}")
    nodes = _number_of_nodes(parts, edges, path)
    arrays: Arrays = {"edges": edges, "label": _labels(parts, nodes, path)}
    for ours, theirs in (("node_time", "time"), ("node_time", "node_time"), ("has_x", "has_x")):
        if theirs in parts:
            arrays[ours] = _flat(parts, theirs, path)
    per_edge: Arrays = {key: _flat(parts, key, path) for key in ("edge_weight", "edge_time") if key in parts}
    for key, texts in (("id", "node_id"), ("classes", "classes")):
        if texts in parts:
            arrays[key] = np.array([str(text) for text in parts[texts]], np.str_)
    if "x" in parts:
        arrays |= _features(parts["x"], path)
    directed, kept = _direction(edges, per_edge, parts.get("directed"), path)
    arrays |= {key: values[kept] for key, values in per_edge.items()}
    return arrays | {"edges": edges[:, kept], "directed": np.array(directed)}


def _array(parts: dict[str, Any], key: str, path: Path) -> npt.NDArray[Any]:
    value = parts[key]
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        refuse(path, f"'{key}' is no dense tensor: save it as one")
    if value.dtype == torch.bfloat16:
        value = value.float()
    array: npt.NDArray[Any] = value.detach().resolve_conj().resolve_neg().numpy()
    return array


def _flat(parts: dict[str, Any], key: str, path: Path) -> npt.NDArray[Any]:
    """An array with one value for each node or edge, which may stand in one column."""
    array = _array(parts, key, path)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _number_of_nodes(parts: dict[str, Any], edges: npt.NDArray[Any], path: Path) -> int:
    given = parts.get("num_nodes")
    if given is not None:
        if not isinstance(given, int) or given < 0:
            refuse(path, f"'num_nodes' is {str(given)[:40]}, not a number of nodes")
        return given
    if "x" in parts:
        return len(parts["x"])
    sizes = [len(parts["node_id"])] if "node_id" in parts else []
    if "y" in parts and isinstance(parts["y"], torch.Tensor) and parts["y"].ndim:
        sizes.append(len(parts["y"]))
    return max([*sizes, int(edges.max(initial=-1)) + 1])


def _labels(parts: dict[str, Any], nodes: int, path: Path) -> npt.NDArray[Any]:
    if "y" not in parts:
        return np.full(nodes, -1, np.int64)
    labels = _flat(parts, "y", path)
    if labels.shape != (nodes,):
        refuse(
            path,
            f"'y' has shape {labels.shape} with {nodes:,} nodes: give each node one class number, -1 where it is not "
            "known",
        )
    return np.where(np.isnan(labels), -1, labels) if labels.dtype.kind == "f" else labels


def _features(x: Any, path: Path) -> Arrays:
    if not isinstance(x, torch.Tensor):
        refuse(path, "'x' is no tensor")
    if x.layout == torch.strided:
        return {"x": _array({"x": x}, "x", path)}
    rows: Any = x.to_sparse(layout=torch.sparse_coo).coalesce()
    if rows.ndim != 2:
        refuse(path, f"'x' must have shape (N, F), not {tuple(rows.shape)}")
    place, columns = rows.indices().numpy()
    counts = np.bincount(place, minlength=rows.shape[0])
    return {
        "x_data": rows.values().float().numpy(),
        "x_indices": columns,
        "x_indptr": np.concatenate([[0], np.cumsum(counts)]),
        "x_shape": np.array(rows.shape),
    }


def _direction(
    edges: npt.NDArray[Any], per_edge: Arrays, stated: Any, path: Path
) -> tuple[bool, npt.NDArray[np.bool_]]:
    """Whether edges go one way, and which of them to send: of an undirected edge one of both directions.

    Edges are undirected where that is stated, or where each stands there in both directions with the same values.
    """
    everything = np.ones(edges.shape[1], np.bool_)
    if stated is True:
        return True, everything
    for key, values in per_edge.items():
        if values.shape != everything.shape:
            refuse(path, f"'{key}' must have shape ({len(everything)},), not {values.shape}")
    turned = edges[0] > edges[1]
    parts = [np.minimum(*edges), np.maximum(*edges), *(np.nan_to_num(values) for values in per_edge.values())]
    keys = np.stack([part.astype(np.float64) for part in parts])
    _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    one_way = edges[0] != edges[1]
    turned_of = np.bincount(group, weights=turned & one_way, minlength=len(first))
    pairs_of = np.bincount(group, weights=one_way, minlength=len(first))
    if stated is None and not np.array_equal(2 * turned_of, pairs_of):
        return True, everything
    return False, ~one_way | (turned == turned[first][group])


def _event_columns(parts: dict[str, Any], path: Path) -> Arrays:
    columns = {key: _flat(parts, key, path) for key in (*_TEMPORAL, "y") if key in parts}
    events = len(columns["src"]) if columns["src"].ndim else -1
    if "msg" in parts:
        messages = _array(parts, "msg", path)
        table = messages[:, None] if messages.ndim == 1 else messages
        if table.ndim != 2:
            refuse(path, f"'msg' must have shape (E, F), not {table.shape}")
        columns |= {f"msg.{number}": table[:, number] for number in range(table.shape[1])}
    for key, column in columns.items():
        if column.shape != (events,):
            refuse(path, f"'{key}' must have shape ({max(events, 0)},), as 'src' has, not {column.shape}")
    for key in ("src", "dst"):
        if columns[key].dtype.kind not in "iu":
            refuse(path, f"'{key}' holds {columns[key].dtype}, not whole numbers")
    return columns
