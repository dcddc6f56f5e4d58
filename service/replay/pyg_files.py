"""``Data`` and ``TemporalData`` of PyG that ``torch.save`` wrote, read without running what the file may hold."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from service.replay.archive_graph import GraphDataset
from service.replay.array_graph import Arrays, graph_of_arrays, refuse
from service.replay.event_files import opened_whole
from service.replay.pyg_hetero import HeteroParts, hetero_arrays
from service.replay.pyg_library import pyg_data, safe_classes
from service.replay.pyg_tensors import (
    Parts,
    array_of,
    direction_of,
    edge_index_of,
    features_of,
    flat,
    labels_of,
    number_of_nodes,
    per_edge_of,
)
from service.replay.pyg_types import directions_of, edge_types_of, node_types_of

_NAMES = {"edges": "edge_index", "label": "y", "id": "node_id"}
"""Names of :func:`graph_of_arrays`, and those of PyG."""
_READ = {
    "x", "y", "edge_index", "edge_weight", "edge_time", "node_time", "time", "node_id", "classes", "directed", "has_x",
    "num_nodes", "position", "edge_types", "edge_type_directed", "node_types", "_node_type_names", "_edge_type_names",
}  # fmt: skip
_PER_EDGE = {"edge_weight": "edge_weight", "edge_time": "edge_time"}
_TEMPORAL = ("src", "dst", "t")
_BROKEN = (RuntimeError, ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile)


@dataclass(frozen=True)
class SavedGraph:
    """A ``Data`` or ``HeteroData``.

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
    """Read what ``torch.save`` wrote: a ``Data``, ``HeteroData`` or ``TemporalData``, also as a dict or stored dataset.

    Raises:
        UnreadableDataset: naming the file, what is in it, and what to do.
        ModuleNotFoundError: torch or PyG is not installed.
    """
    saved = _load(path)
    if isinstance(saved, tuple | list):
        saved = _of_dataset(saved, path)
    hetero = _hetero_parts(saved)
    if hetero is not None:
        return SavedGraph(graph_of_arrays(hetero_arrays(hetero, path), path), hetero.left_out)
    parts = _parts(saved, path)
    if "edge_index" not in parts and all(key in parts for key in _TEMPORAL):
        return SavedEvents(_event_columns(parts, path))
    if "edge_index" not in parts:
        more = "; save adj_t as edge_index (torch_geometric.utils.to_edge_index)" if "adj_t" in parts else ""
        refuse(path, f"has no edge_index, and not src, dst and t; it has {', '.join(parts) or 'nothing'}{more}")
    arrays = _arrays(parts, path)
    left_out = tuple(key for key in parts if key not in _READ | {*arrays})
    return SavedGraph(graph_of_arrays(arrays, path, _NAMES), left_out)


def _load(path: Path) -> Any:
    classes = safe_classes()
    try:
        with opened_whole(path) as file, torch.serialization.safe_globals(classes):
            unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(file)
            if unsafe:
                refuse(path, _unsafe(sorted(unsafe)))
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        if str(error).startswith(str(path)):
            raise
        reason = next(iter(re.split(r"\n|\. ", str(error))), "")[:120]
        refuse(path, f"not a whole file of torch.save ({reason}): save or copy it again")


def _unsafe(names: list[str]) -> str:
    return (
        f"holds {names[0]}, which is no part of a Data and is never run: save a Data of PyG whose values are tensors, "
        "texts and numbers"
    )


def _of_dataset(saved: Any, path: Path) -> Any:
    """The one graph of what ``InMemoryDataset`` stores, a dict with slices and a class, or of a list."""
    if len(saved) == 1:
        return saved[0]
    if isinstance(saved, tuple) and isinstance(saved[0], dict | pyg_data().Data | pyg_data().HeteroData):
        slices = saved[1] if isinstance(saved[1], dict) else {}
        # A HeteroData has slices of its own for each type.
        indices = [group.get("edge_index", ()) for group in (slices, *slices.values()) if isinstance(group, dict)]
        longest = max((len(index) for index in indices), default=0)
        if longest <= 2:
            return saved[0]
        refuse(path, f"holds {longest - 1:,} graphs: save the one to read")
    return refuse(path, f"holds {len(saved):,} objects: save the one graph to read")


def _hetero_parts(saved: Any) -> HeteroParts | None:
    """The parts of a ``HeteroData``, or of one as a dict; None of anything else."""
    if isinstance(saved, pyg_data().HeteroData):
        saved = saved.to_dict()
    elif not isinstance(saved, Mapping) or not any(isinstance(key, tuple) and len(key) == 3 for key in saved):
        return None
    groups = {
        key: {name: each for name, each in dict(parts).items() if each is not None} for key, parts in saved.items()
    }
    shared = groups.pop("_global_store", {})
    edges = {key: parts for key, parts in groups.items() if isinstance(key, tuple)}
    nodes = {str(key): parts for key, parts in groups.items() if not isinstance(key, tuple)}
    return HeteroParts(nodes, edges, shared)


def _parts(saved: Any, path: Path) -> Parts:
    library = pyg_data()
    if isinstance(saved, library.Data | library.TemporalData):
        parts: Parts = saved.to_dict()
        for names in ("_node_type_names", "_edge_type_names"):
            parts[names] = getattr(saved, names, None)
    elif isinstance(saved, Mapping):
        parts = {str(key): value for key, value in saved.items()}
    else:
        refuse(path, f"holds a {type(saved).__name__}, not a Data of PyG")
    return {key: value for key, value in parts.items() if value is not None}


def _arrays(parts: Parts, path: Path) -> Arrays:
    edges = edge_index_of(parts, path)
    nodes = number_of_nodes(parts, edges, path)
    arrays: Arrays = {"edges": edges, "label": labels_of(parts, nodes, path)}
    for ours, theirs in (("node_time", "time"), ("node_time", "node_time"), ("has_x", "has_x")):
        if theirs in parts:
            arrays[ours] = flat(parts, theirs, path)
    per_edge = per_edge_of(parts, _PER_EDGE, edges.shape[1], path)
    for key, texts in (("id", "node_id"), ("classes", "classes")):
        if texts in parts:
            arrays[key] = np.array([str(text) for text in parts[texts]], np.str_)
    if "x" in parts:
        arrays |= features_of(parts["x"], path)
    arrays |= node_types_of(parts, arrays, path)
    types = edge_types_of(parts, edges.shape[1], path)
    if not types:
        directed, kept = direction_of(edges, per_edge, parts.get("directed"))
    else:
        ways, kept = directions_of(edges, per_edge, types, parts.get("edge_type_directed"), path)
        directed = bool(parts.get("directed", ways.all()))
        types |= {"edge_type": types["edge_type"][kept], "edge_type_directed": ways}
    arrays |= {key: values[kept] for key, values in per_edge.items()}
    return arrays | types | {"edges": edges[:, kept], "directed": np.array(directed)}


def _event_columns(parts: Parts, path: Path) -> Arrays:
    columns = {key: flat(parts, key, path) for key in (*_TEMPORAL, "y") if key in parts}
    events = len(columns["src"]) if columns["src"].ndim else -1
    if "msg" in parts:
        messages = array_of(parts, "msg", path)
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
