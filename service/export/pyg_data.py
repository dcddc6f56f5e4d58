"""An exported graph as the objects of PyG: a ``Data``, or with types of nodes a ``HeteroData``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from olad_core.graph_types import NODE_TYPE, RELATION
from service.replay.array_graph import Arrays
from service.replay.exported_types import ExportedTypes
from service.replay.pyg_hetero import REVERSED
from service.replay.pyg_library import pyg_data

_PER_EDGE = ("edge_weight", "edge_time", "edge_id", "edge_x", "edge_label", "edge_value", "edge_type")


def data_of(arrays: Arrays, position: str) -> Any:
    """A ``torch_geometric.data.Data``; an undirected edge stands there in both directions.

    Args:
        arrays: as :func:`~service.replay.array_graph.graph_of_arrays` reads them, with ``id``.
        position: of the graph.
    """
    edges = arrays["edges"]
    per_edge = {name: arrays[name] for name in _PER_EDGE if name in arrays}
    ways = arrays.get("edge_type_directed", arrays["directed"][None])
    back = (edges[0] != edges[1]) & ~ways[arrays.get("edge_type", np.zeros(edges.shape[1], np.int64))]
    if back.any():
        edges = np.concatenate([edges, edges[::-1, back]], axis=1)
        per_edge = {name: np.concatenate([values, values[back]]) for name, values in per_edge.items()}
    names = {"edge_types": arrays["edge_types"].tolist()} if "edge_types" in arrays else {}
    return pyg_data().Data(
        x=torch.from_numpy(arrays["x"]) if "x" in arrays else None,
        edge_index=torch.from_numpy(np.ascontiguousarray(edges)),
        y=torch.from_numpy(arrays["label"]),
        num_nodes=len(arrays["label"]),
        node_id=arrays["id"].tolist(),
        classes=arrays["classes"].tolist(),
        directed=bool(arrays["directed"]),
        has_x=torch.from_numpy(arrays["has_x"]) if "has_x" in arrays and not arrays["has_x"].all() else None,
        position=position,
        **({"node_value": torch.from_numpy(arrays["node_value"])} if "node_value" in arrays else {}),
        **({"edge_classes": arrays["edge_classes"].tolist()} if "edge_classes" in arrays else {}),
        **(names | {"edge_type_directed": ways.tolist()} if names else {}),
        **({"edge_attr": torch.from_numpy(per_edge.pop("edge_x"))} if "edge_x" in per_edge else {}),
        **({"edge_id": per_edge.pop("edge_id").tolist()} if "edge_id" in per_edge else {}),
        **{name: torch.from_numpy(values) for name, values in per_edge.items()},
    )


def hetero_data_of(arrays: Arrays, position: str, types: ExportedTypes) -> Any:
    """A ``torch_geometric.data.HeteroData``.

    An undirected edge stands there in both directions: between two types of nodes once more under the name that
    ``ToUndirected`` gives it, ``rev_`` and its own. Nodes whose type is not known have one that is not declared.

    Args:
        arrays: as :func:`~service.replay.array_graph.graph_of_arrays` reads them, with ``id`` and ``node_type``.
        position: of the graph.
        types: as they are declared, which the object keeps as ``schema``.
    """
    data = pyg_data().HeteroData()
    data.classes, data.position, data.schema = arrays["classes"].tolist(), position, types.model_dump()
    if "edge_classes" in arrays:
        data.edge_classes = arrays["edge_classes"].tolist()
    kinds = [*arrays["node_types"].tolist()]
    kinds.append(_unused(NODE_TYPE, kinds))
    kind = np.where(arrays["node_type"] < 0, len(kinds) - 1, arrays["node_type"])
    place = np.zeros(len(kind), np.int64)
    for number, name in enumerate(kinds):
        rows = np.flatnonzero(kind == number)
        place[rows] = np.arange(len(rows))
        if len(rows) or number < len(kinds) - 1:
            _add_nodes(_store_of(data, name), arrays, rows, int([*arrays["node_type_width"], 0][number]))
    for triple, ends, per_edge in _triples(arrays, kind, kinds, place):
        store = _store_of(data, triple)
        store.edge_index = torch.from_numpy(np.ascontiguousarray(ends))
        for key, values in per_edge.items():
            store[key] = values.tolist() if key == "edge_id" else torch.from_numpy(values)
    return data


def _store_of(data: Any, kind: str | tuple[str, str, str]) -> Any:
    """The store of a type, without the warning of PyG about two underscores: names are the user's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There exist type names", UserWarning)
        return data[kind]


def _add_nodes(store: Any, arrays: Arrays, rows: npt.NDArray[np.int64], width: int) -> None:
    store.num_nodes = len(rows)
    store.node_id = arrays["id"][rows].tolist()
    store.y = torch.from_numpy(arrays["label"][rows])
    if "node_value" in arrays:
        store.node_value = torch.from_numpy(arrays["node_value"][rows])
    if width and "x" in arrays:
        store.x = torch.from_numpy(np.ascontiguousarray(arrays["x"][rows, :width]))
        store.has_x = torch.from_numpy(arrays["has_x"][rows])


def _triples(
    arrays: Arrays, kind: npt.NDArray[np.int64], kinds: list[str], place: npt.NDArray[np.int64]
) -> Iterator[tuple[tuple[str, str, str], npt.NDArray[np.int64], Arrays]]:
    """Edges of one type between two types of nodes, with the places of their ends among these."""
    edges = arrays["edges"]
    names = arrays["edge_types"].tolist() if "edge_types" in arrays else [RELATION]
    relation = arrays.get("edge_type", np.zeros(edges.shape[1], np.int64))
    ways = arrays.get("edge_type_directed", arrays["directed"][None])
    # Undirected edges between two types begin at the first of both.
    turned = ~ways[relation] & (kind[edges[0]] > kind[edges[1]])
    ends = np.where(turned, edges[::-1], edges)
    groups = np.stack([kind[ends[0]], relation, kind[ends[1]]])
    for source, number, target in np.unique(groups, axis=1).T.tolist():
        own = np.flatnonzero((groups == np.array([[source], [number], [target]])).all(axis=0))
        per_edge: Arrays = {key: arrays[key][own] for key in _PER_EDGE[:-1] if key in arrays}
        if width := _width_of(arrays, number):
            per_edge["edge_attr"] = per_edge["edge_x"][:, :width]
        per_edge.pop("edge_x", None)
        found, name = place[ends[:, own]], names[number]
        if ways[number]:
            yield (kinds[source], name, kinds[target]), found, per_edge
        elif source == target:
            back = found[0] != found[1]
            both = {key: np.concatenate([values, values[back]]) for key, values in per_edge.items()}
            yield (kinds[source], name, kinds[target]), np.concatenate([found, found[::-1, back]], axis=1), both
        else:
            yield (kinds[source], name, kinds[target]), found, per_edge
            yield (kinds[target], _unused(REVERSED + name, names), kinds[source]), found[::-1], per_edge


def _width_of(arrays: Arrays, number: int) -> int:
    """Number of features of an edge of a type."""
    return int(arrays["edge_type_width"][number]) if "edge_type_width" in arrays else 0


def _unused(name: str, names: list[str]) -> str:
    """The name, with lines before it until it is none of the others."""
    while name in names:
        name = f"_{name}"
    return name
