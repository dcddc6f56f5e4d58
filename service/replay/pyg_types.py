"""Types of nodes and edges in a ``Data`` of PyG, where they are numbers beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph_types import MAX_EDGE_TYPES, MAX_NODE_TYPES
from service.replay.array_graph import Arrays, refuse
from service.replay.pyg_hetero import relation_names
from service.replay.pyg_tensors import Parts, direction_of, flat


def node_types_of(parts: Parts, arrays: Arrays, path: Path) -> Arrays:
    """Types of nodes out of ``node_type`` ``[N]``; nothing where there are none, or more than a graph may have.

    Features of all types have the width of ``x``, which has to be dense.
    """
    numbers = _numbers(parts, "node_type", len(arrays["label"]), path)
    if numbers is None or "x_data" in arrays:
        return {}
    names = _named(parts, "node_types", "_node_type_names", numbers)
    if len(names) > MAX_NODE_TYPES:
        return {}
    width = arrays["x"].shape[1] if "x" in arrays and arrays["x"].ndim == 2 else 0
    return {
        "node_type": numbers,
        "node_types": np.array(names, np.str_),
        "node_type_width": np.full(len(names), width),
    }


def edge_types_of(parts: Parts, edges: int, path: Path) -> Arrays:
    """Types of edges out of ``edge_type`` ``[E]``; nothing where there are none, or more than a graph may have."""
    numbers = _numbers(parts, "edge_type", edges, path)
    if numbers is None:
        return {}
    names = _named(parts, "edge_types", "_edge_type_names", numbers)
    if len(names) > MAX_EDGE_TYPES:
        return {}
    return {"edge_type": numbers, "edge_types": np.array(names, np.str_)}


def directions_of(
    edges: npt.NDArray[Any], per_edge: Arrays, types: Arrays, stated: Sequence[bool] | None, path: Path
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether the edges of each type go one way, and which of all edges to send.

    Args:
        edges: ``[2, E]``.
        per_edge: other values of edges, ``[E]``.
        types: those of :func:`edge_types_of`.
        stated: whether the edges of each type go one way; None where that is found out.
        path: of the file.
    """
    count = len(types["edge_types"])
    if stated is not None and len(stated) != count:
        refuse(path, f"'edge_type_directed' has {len(stated)} values for {count} names in 'edge_types'")
    ways, kept = np.zeros(count, np.bool_), np.zeros(edges.shape[1], np.bool_)
    for number in range(count):
        of_type = types["edge_type"] == number
        own = {key: values[of_type] for key, values in per_edge.items()}
        way = None if stated is None else bool(stated[number])
        ways[number], kept[of_type] = direction_of(edges[:, of_type], own, way)
    return ways, kept


def _numbers(parts: Parts, key: str, count: int, path: Path) -> npt.NDArray[np.int64] | None:
    if key not in parts:
        return None
    numbers = flat(parts, key, path)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu":
        refuse(path, f"'{key}' must hold {count} whole numbers, not {numbers.dtype} of shape {numbers.shape}")
    return numbers.astype(np.int64)


def _named(parts: Parts, ours: str, of_library: str, numbers: npt.NDArray[np.int64]) -> list[str]:
    """Names of the types: those that are stated, those that ``to_homogeneous`` keeps, else their numbers."""
    if ours in parts:
        return [str(name) for name in parts[ours]]
    names = parts.get(of_library)
    if names is None:
        return [str(number) for number in range(int(numbers.max(initial=-1)) + 1)]
    return [*relation_names([*names]).values()] if of_library == "_edge_type_names" else [str(name) for name in names]
