"""``HeteroData`` of PyG, and a ``Data`` with numbers of types: read as a graph with types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.transforms import ToUndirected

from olad_core.events import UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from service.replay.archive_graph import GraphDataset
from service.replay.arrival_stream import UnreadableDataset
from service.replay.pyg_files import SavedGraph, read_saved
from service.replay.pyg_library import pyg_data
from service.replay.sources import StreamOptions, open_source
from service.replay.table_options import TableOptions, WrongMapping

PYG = pyg_data()
WRITES = torch.tensor([[0, 1, 1], [0, 0, 2]])


def papers(**more: torch.Tensor) -> Any:
    """Two authors with a feature each, three papers with two features and classes, and edges of two types."""
    data = PYG.HeteroData()
    data["author"].x = torch.tensor([[1.0], [2.0]])
    data["paper"].x = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    data["paper"].y = torch.tensor([0, -1, 1])
    data["author", "writes", "paper"].edge_index = WRITES
    data["paper", "cites", "paper"].edge_index = torch.tensor([[0], [1]])
    for name, values in more.items():
        data["author", "writes", "paper"][name] = values
    return data


def _read(folder: Path, saved: Any) -> GraphDataset:
    torch.save(saved, folder / "graph.pt")
    found = read_saved(folder / "graph.pt")
    assert isinstance(found, SavedGraph)
    return found.graph


def _edges(graph: GraphDataset) -> set[tuple[str, str, str]]:
    assert graph.ids is not None
    assert graph.edge_type is not None
    names = [*graph.edge_types]
    return {
        (graph.ids[src], names[kind], graph.ids[dst])
        for src, dst, kind in zip(*graph.edges.tolist(), graph.edge_type.tolist(), strict=True)
    }


EXPECTED = {
    *(("author-0", "writes", "paper-0"), ("author-1", "writes", "paper-0"), ("author-1", "writes", "paper-2")),
    ("paper-0", "cites", "paper-1"),
}


@pytest.mark.parametrize(
    "stored",
    [
        lambda data: data,
        lambda data: data.to_dict(),
        lambda data: (data.to_dict(), None, PYG.HeteroData),
        lambda data: (data, {("author", "writes", "paper"): {"edge_index": torch.tensor([0, 3])}}),
        lambda data: [data],
    ],
    ids=["HeteroData", "dict", "dataset", "older dataset", "list"],
)
def test_types_features_and_classes_are_read(tmp_path: Path, stored: Callable[[Any], Any]) -> None:
    graph = _read(tmp_path, stored(papers()))
    assert graph.node_types == {"author": NodeType(feature_width=1), "paper": NodeType(feature_width=2)}
    assert graph.edge_types == {"writes": EdgeType(directed=True), "cites": EdgeType(directed=True)}
    assert graph.ids == ("author-0", "author-1", "paper-0", "paper-1", "paper-2")
    assert (graph.labels.tolist(), graph.classes) == ([-1, -1, 0, -1, 1], ("0", "1"))
    assert _edges(graph) == EXPECTED
    events = [event for arrival in graph.arrivals() for event in arrival.events]
    assert {event.id: (event.type, event.x) for event in events if isinstance(event, UpsertNode)} == {
        "author-0": ("author", [1.0]),
        "author-1": ("author", [2.0]),
        **{f"paper-{number}": ("paper", [0.0, number + 1.0]) for number in range(3)},
    }


@pytest.mark.parametrize("merged", [True, False])
def test_edges_that_pyg_has_turned_round_are_undirected(tmp_path: Path, merged: bool) -> None:
    data = ToUndirected(merge=merged)(papers(edge_weight=torch.tensor([1.0, 2.0, 3.0])))
    assert len(data.edge_types) == (3 if merged else 4)
    graph = _read(tmp_path, data)
    assert graph.edge_types == {"writes": EdgeType(directed=False), "cites": EdgeType(directed=False)}
    assert {(min(src, dst), name, max(src, dst)) for src, name, dst in _edges(graph)} == EXPECTED
    assert graph.edge_weight is not None
    assert sorted(graph.edge_weight.tolist()) == [1.0, 1.0, 2.0, 3.0]


def test_a_reversed_type_with_other_edges_is_a_type_of_its_own(tmp_path: Path) -> None:
    data = papers()
    data["paper", "rev_writes", "author"].edge_index = WRITES[[1, 0]][:, :2]
    assert [*_read(tmp_path, data).edge_types] == ["writes", "cites", "rev_writes"]


def test_relations_of_one_name_between_other_types_are_two_types(tmp_path: Path) -> None:
    data = papers()
    data["author", "cites", "author"].edge_index = torch.tensor([[0], [1]])
    assert [*_read(tmp_path, data).edge_types] == ["writes", "paper__cites__paper", "author__cites__author"]


def test_times_ids_and_classes_are_those_of_the_file(tmp_path: Path) -> None:
    data = papers(time=torch.tensor([5, 6, 7]))
    data["author"].node_id, data["paper"].node_id = ["ann", "bob"], ["p", "q", "r"]
    data["paper"].time = torch.tensor([3, 4, 9])
    data.classes, data["author"].name = ["art", "biology"], ["Ann", "Bob"]
    graph = _read(tmp_path, data)
    assert (graph.ids, graph.classes) == (("ann", "bob", "p", "q", "r"), ("art", "biology"))
    assert graph.node_time is not None
    assert graph.node_time.tolist() == [3.0, 3.0, 3.0, 4.0, 9.0], "nodes without a time have the earliest"
    assert graph.edge_time is not None
    assert graph.edge_time.tolist() == [5.0, 6.0, 7.0, 5.0]
    assert open_source(str(tmp_path / "graph.pt")).notes[-1] == "left out: author.name"


def test_a_data_with_numbers_of_types_has_types(tmp_path: Path) -> None:
    graph = _read(tmp_path, papers().to_homogeneous())
    assert {name: each.feature_width for name, each in graph.node_types.items()} == {"author": 2, "paper": 2}
    assert [*graph.edge_types] == ["writes", "cites"]
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    numbered = _read(tmp_path, PYG.Data(edge_index=edges, edge_type=torch.tensor([1, 0, 1])))
    assert (numbered.edge_types, numbered.node_types) == (dict.fromkeys("01", EdgeType(directed=True)), {})
    many = PYG.Data(edge_index=edges, edge_type=torch.tensor([99, 0, 1]))
    assert _read(tmp_path, many).edge_type is None, "a graph has fewer types"
    assert open_source(str(tmp_path / "graph.pt"), StreamOptions()).notes[-1] == "left out: edge_type"


def _wrong(change: Callable[[Any], None]) -> Any:
    data = papers()
    change(data)
    return data


def _set(group: Any, key: str, value: Any) -> Callable[[Any], None]:
    return lambda data: setattr(data[group], key, value)


TRIPLE = ("author", "writes", "paper")
WRONG: dict[str, tuple[Any, str]] = {
    "edges to nowhere": (
        _wrong(_set(TRIPLE, "edge_index", WRITES + 5)),
        r"'author__writes__paper\.edge_index' names nodes of 'author' that there are not",
    ),
    "turned edges": (_wrong(_set(TRIPLE, "edge_index", WRITES.T)), r"'author__writes__paper\.edge_index' must hold"),
    "classes of two types": (
        _wrong(_set("author", "y", torch.tensor([0, 1]))),
        r"'author\.y' and 'paper\.y' may number different classes: name those of the whole graph in a list 'classes'",
    ),
    "several labels": (_wrong(_set("paper", "y", torch.ones(3, 2))), r"'paper\.y' has shape \(3, 2\) with 3 nodes"),
    "sparse features": (
        _wrong(_set("paper", "x", torch.ones(3, 2).to_sparse())),
        r"'paper\.x' is no dense tensor: save it as one",
    ),
    "features of other nodes": (_wrong(_set("paper", "x", torch.ones(3))), r"'paper\.x' must have shape \(3, F\)"),
    "weights of other edges": (
        _wrong(_set(TRIPLE, "edge_weight", torch.ones(2))),
        r"'author__writes__paper\.edge_weight' must have shape \(3,\), not \(2,\)",
    ),
    "several graphs": (
        (papers(), {TRIPLE: {"edge_index": torch.tensor([0, 1, 2])}}),
        "holds 2 graphs: save the one to read",
    ),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_one_line_names_what_does_not_fit(tmp_path: Path, kind: str) -> None:
    saved, message = WRONG[kind]
    with pytest.raises(UnreadableDataset, match=message) as error:
        _read(tmp_path, saved)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def test_columns_are_refused(tmp_path: Path) -> None:
    torch.save(papers(), tmp_path / "graph.pt")
    with pytest.raises(WrongMapping, match="states itself what its nodes are"):
        open_source(str(tmp_path / "graph.pt"), tables=TableOptions(label="y"))


def test_nothing_but_edges_is_a_graph(tmp_path: Path) -> None:
    data = PYG.HeteroData()
    data["user", "likes", "film"].edge_index = torch.tensor([[0, 3], [1, 0]])
    graph = _read(tmp_path, data)
    assert np.bincount(graph.node_type).tolist() == [4, 2]  # type: ignore[arg-type]
    assert graph.node_types == {"user": NodeType(), "film": NodeType()}
