"""Tensors of saved graphs as arrays: what does not fit is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from service.replay.array_graph import Arrays, refuse

Parts = dict[str, Any]
"""Values by name, as PyG stores those of nodes, edges or a graph."""


def array_of(parts: Parts, key: str, path: Path) -> npt.NDArray[Any]:
    """A dense tensor."""
    value = parts[key]
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        refuse(path, f"'{key}' is no dense tensor: save it as one")
    if value.dtype == torch.bfloat16:
        value = value.float()
    array: npt.NDArray[Any] = value.detach().resolve_conj().resolve_neg().numpy()
    return array


def flat(parts: Parts, key: str, path: Path) -> npt.NDArray[Any]:
    """An array with one value for each node or edge, which may stand in one column."""
    array = array_of(parts, key, path)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def edge_index_of(parts: Parts, path: Path) -> npt.NDArray[Any]:
    """Both ends of each edge, ``[2, E]``."""
    edges = array_of(parts, "edge_index", path)
    if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
        refuse(path, f"'edge_index' must hold whole numbers of shape (2, E), not {edges.dtype} of shape {edges.shape}")
    return edges


def per_edge_of(parts: Parts, names: Mapping[str, str], edges: int, path: Path) -> Arrays:
    """Values of the edges, ``[E]`` each, by our names. Where two of theirs have one of ours, the later one counts.

    Args:
        parts: as they are saved.
        names: of PyG, and ours for each.
        edges: E.
        path: of the file.
    """
    found: Arrays = {}
    for theirs, ours in names.items():
        if theirs in parts:
            found[ours] = flat(parts, theirs, path)
            if found[ours].shape != (edges,):
                refuse(path, f"'{theirs}' must have shape ({edges},), not {found[ours].shape}")
    return found


def number_of_nodes(parts: Parts, edges: npt.NDArray[Any], path: Path) -> int:
    """Number of nodes, as it is stated, or as values and edges show."""
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


def labels_of(parts: Parts, nodes: int, path: Path) -> npt.NDArray[Any]:
    """The class number of each node, -1 where it is not known."""
    if "y" not in parts:
        return np.full(nodes, -1, np.int64)
    labels = flat(parts, "y", path)
    if labels.shape != (nodes,):
        refuse(
            path,
            f"'y' has shape {labels.shape} with {nodes:,} nodes: give each node one class number, -1 where it is not "
            "known",
        )
    return np.where(np.isnan(labels), -1, labels) if labels.dtype.kind == "f" else labels


def features_of(x: Any, path: Path) -> Arrays:
    """Features, dense or as CSR."""
    if not isinstance(x, torch.Tensor):
        refuse(path, "'x' is no tensor")
    if x.layout == torch.strided:
        return {"x": array_of({"x": x}, "x", path)}
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


def direction_of(edges: npt.NDArray[Any], per_edge: Arrays, stated: Any) -> tuple[bool, npt.NDArray[np.bool_]]:
    """Whether edges go one way, and which of them to send: of an undirected edge one of both directions.

    Edges are undirected where that is stated, or where each stands there in both directions with the same values.
    """
    everything = np.ones(edges.shape[1], np.bool_)
    if stated is True:
        return True, everything
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
