"""What ``torch.save`` wrote of PyG: read as the graph that it is, and never run."""

from __future__ import annotations

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from service.replay.arrival_stream import UnreadableDataset
from service.replay.label_delay import Duration
from service.replay.pyg_files import SavedGraph, read_saved
from service.replay.pyg_library import pyg_data
from service.replay.sources import Source, StreamOptions, open_source
from service.replay.table_options import TableOptions, WrongMapping

PYG = pyg_data()
ALL = StreamOptions(label_delay=0, scored=False)
EDGES = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


def _saved(folder: Path, saved: Any, name: str = "graph.pt") -> Path:
    path = folder / name
    torch.save(saved, path)
    return path


def _events(source: Source) -> list[Event]:
    return [event for batch in source.batches for event in batch.events]


def _graph(path: Path) -> Any:
    saved = read_saved(path)
    assert isinstance(saved, SavedGraph)
    return saved.graph


def test_a_data_arrives_in_time_with_its_labels(tmp_path: Path) -> None:
    data = PYG.Data(
        x=torch.tensor([[0.5], [1.5], [2.5]]),
        y=torch.tensor([0, -1, 1]),
        edge_index=EDGES,
        time=torch.tensor([3, 1, 2]),
    )
    source = open_source(str(_saved(tmp_path, data)), ALL)
    assert source.schema is not None
    assert (source.schema.feature_width, source.schema.classes, source.schema.directed) == (1, ("0", "1"), False)
    assert _events(source) == [
        UpsertNode(id=1, x=[1.5], ts=1.0),
        *(UpsertNode(id=2, x=[2.5], ts=2.0), UpsertEdge(src=1, dst=2, ts=2.0), LabelNode(id="2", label="1", ts=2.0)),
        *(UpsertNode(id=0, x=[0.5], ts=3.0), UpsertEdge(src=0, dst=1, ts=3.0), LabelNode(id="0", label="0", ts=3.0)),
    ]
    assert source.identity is not None


@pytest.mark.parametrize(
    "stored",
    [
        lambda data: data,
        lambda data: data.to_dict(),
        lambda data: (data.to_dict(), None, PYG.Data),
        lambda data: (data, {"x": torch.tensor([0, 3]), "edge_index": torch.tensor([0, 4])}),
        lambda data: [data],
        lambda data: PYG.Data(**{**data.to_dict(), "x": data.x.to_sparse()}),
        lambda data: PYG.Data(**{**data.to_dict(), "x": data.x.to_sparse_csr()}),
        lambda data: PYG.Data(**{**data.to_dict(), "x": data.x.to(torch.bfloat16), "y": data.y[:, None].float()}),
    ],
    ids=["Data", "dict", "dataset", "older dataset", "list", "sparse", "CSR", "other types"],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_every_way_to_store_a_graph_is_the_same_graph(tmp_path: Path, stored: Callable[[Any], Any]) -> None:
    data = PYG.Data(x=torch.tensor([[0.5, 0], [0, 0], [0, -1]]), y=torch.tensor([2, 0, 1]), edge_index=EDGES)
    found = _graph(_saved(tmp_path, stored(data)))
    assert found.labels.tolist() == [2, 0, 1]
    assert found.edges.tolist() == [[0, 1], [1, 2]]
    rows = [arrival.events[0] for arrival in found.arrivals()]
    dense = {}
    for row in rows:
        assert isinstance(row, UpsertNode)
        values = np.zeros(2)
        if isinstance(row.x, list):
            values[:] = row.x
        elif row.x is not None:
            values[row.x.indices] = row.x.values
        dense[row.id] = values.tolist()
    assert dense == {0: [0.5, 0], 1: [0, 0], 2: [0, -1]}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), max_size=20), st.randoms())
def test_an_undirected_graph_keeps_one_of_both_directions(
    tmp_path_factory: pytest.TempPathFactory, contacts: list[tuple[int, int, int]], random_of: Any
) -> None:
    """Contacts that were written in both directions, in any order, are those contacts, repeated ones too."""
    both = contacts + [(dst, src, time) for src, dst, time in contacts if src != dst]
    random_of.shuffle(both)
    src, dst, time = (torch.tensor([contact[part] for contact in both], dtype=torch.long) for part in range(3))
    data = PYG.Data(edge_index=torch.stack([src, dst]), edge_time=time, num_nodes=6)
    found = _graph(_saved(tmp_path_factory.mktemp("pyg"), data))
    assert not found.directed
    kept = zip(*found.edges.tolist(), found.edge_time.tolist(), strict=True)
    assert sorted((*sorted(ends), at) for *ends, at in kept) == sorted((*sorted(ends), at) for *ends, at in contacts)


def test_a_graph_that_goes_one_way_is_directed(tmp_path: Path) -> None:
    data = PYG.Data(edge_index=EDGES[:, :3], num_nodes=3, train_mask=torch.ones(3, dtype=torch.bool))
    source = open_source(str(_saved(tmp_path, data)), ALL)
    assert source.schema is not None
    assert source.schema.directed
    assert any("edges go one way" in note for note in source.notes)
    assert "left out: train_mask" in source.notes
    weighted = PYG.Data(edge_index=EDGES, edge_weight=torch.tensor([1.0, 2.0, 3.0, 3.0]), num_nodes=3)
    assert _graph(_saved(tmp_path, weighted)).directed, "the two directions differ"


TEMPORAL = {
    "src": torch.tensor([7, 8, 7]),
    "dst": torch.tensor([9, 9, 9]),
    "t": torch.tensor([1_700_000_000, 1_700_000_060, 1_700_000_120]),
    "msg": torch.tensor([[0.5, 1.0], [0.25, 2.0], [0.125, 3.0]]),
    "y": torch.tensor([0.0, 1.0, 0.0]),
}


@pytest.mark.parametrize("stored", [PYG.TemporalData, dict, PYG.Data])
def test_temporal_data_are_edges(tmp_path: Path, stored: Callable[..., Any]) -> None:
    source = open_source(str(_saved(tmp_path, stored(**TEMPORAL))), ALL)
    assert _events(source) == [
        UpsertEdge(src="7", dst="9", ts=1_700_000_000.0),
        UpsertEdge(src="8", dst="9", ts=1_700_000_060.0),
        UpsertEdge(src="7", dst="9", ts=1_700_000_120.0),
    ]
    assert "times in 't' are dates in s since 1970" in source.notes


def test_events_of_temporal_data_as_nodes(tmp_path: Path) -> None:
    path = _saved(tmp_path, PYG.TemporalData(**TEMPORAL))
    options = StreamOptions(label_delay=Duration(60), scored=False)
    source = open_source(str(path), options, tables=TableOptions(as_node=True))
    assert source.proposal is not None
    assert (source.proposal.feature_width, source.proposal.classes) == (2, ("0", "1"))
    events = _events(source)
    assert events[:3] == [
        UpsertNode(id="row-1", x=[0.5, 1.0], ts=1_700_000_000.0),
        UpsertEdge(src="7", dst="row-1", ts=1_700_000_000.0),
        UpsertEdge(src="row-1", dst="9", ts=1_700_000_000.0),
    ]
    assert [event for event in events if isinstance(event, LabelNode)] == [
        LabelNode(id="row-1", label="0", ts=1_700_000_060.0),
        LabelNode(id="row-2", label="1", ts=1_700_000_120.0),
    ]
    narrower = open_source(str(path), tables=TableOptions(as_node=True, features=("msg.1",), label="y"))
    assert narrower.proposal is not None
    assert narrower.proposal.feature_width == 1


@pytest.mark.parametrize("suffix", ["pt", "npz"])
def test_a_compressed_file_is_the_same_graph(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"graph.{suffix}"
    if suffix == "pt":
        _saved(tmp_path, PYG.Data(edge_index=EDGES, y=torch.tensor([0, 1, 0])))
    else:
        np.savez(path, edges=EDGES[:, ::2].numpy(), label=[0, 1, 0])
    packed = tmp_path / f"graph.{suffix}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert _events(open_source(str(packed), ALL)) == _events(open_source(str(path), ALL))


class _RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-ran",)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a HeteroData": (
        PYG.HeteroData,
        "a HeteroData without nodes and edges",
    ),
    "code": (_RunsCode, r"holds posix\.mkdir, which is no part of a Data and is never run: save a Data"),
    "code in a Data": (lambda: PYG.Data(edge_index=EDGES, extra=_RunsCode()), r"holds posix\.mkdir, .* never run"),
    "arrays of numpy": (
        lambda: PYG.Data(y=np.zeros(2)),
        r"holds numpy\S+, which is no part of a Data .* values are tensors",
    ),
    "a model": (lambda: torch.nn.Linear(2, 2), r"holds torch\.nn\.modules\.linear\.Linear, which is no part of a Data"),
    "weights": (
        lambda: torch.nn.Linear(2, 2).state_dict(),
        "has no edge_index, and not src, dst and t; it has weight, bias",
    ),
    "a tensor": (lambda: torch.ones(2), "holds a Tensor, not a Data of PyG"),
    "several graphs": (
        lambda: (PYG.Data(edge_index=EDGES).to_dict(), {"edge_index": torch.tensor([0, 2, 4])}, PYG.Data),
        "holds 2 graphs: save the one to read",
    ),
    "a list of graphs": (lambda: [PYG.Data(edge_index=EDGES)] * 3, "holds 3 objects: save the one graph"),
    "nothing": (PYG.Data, "has no edge_index, and not src, dst and t; it has nothing"),
    "half of TemporalData": (
        lambda: PYG.TemporalData(src=EDGES[0], dst=EDGES[1]),
        "has no edge_index, .* it has src, dst",
    ),
    "TemporalData of two lengths": (
        lambda: PYG.TemporalData(**{**TEMPORAL, "t": torch.tensor([1, 2])}),
        r"'t' must have shape \(3,\), as 'src' has, not \(2,\)",
    ),
    "turned edges": (
        lambda: PYG.Data(edge_index=EDGES.T),
        r"'edge_index' must hold whole numbers of shape \(2, E\), not",
    ),
    "edges of floats": (
        lambda: PYG.Data(edge_index=EDGES.float()),
        r"'edge_index' must hold whole numbers .* not float32",
    ),
    "edges to nowhere": (lambda: PYG.Data(edge_index=EDGES, num_nodes=2), r"'edge_index' names nodes outside 0\.\.1"),
    "several labels a node": (
        lambda: PYG.Data(edge_index=EDGES, y=torch.ones(3, 2)),
        r"'y' has shape \(3, 2\) with 3 nodes",
    ),
    "values for labels": (
        lambda: PYG.Data(edge_index=EDGES, y=torch.full((3,), 0.5)),
        "'y' holds 0.5, which is no whole",
    ),
    "a label of the graph": (lambda: PYG.Data(edge_index=EDGES, x=torch.ones(3, 1), y=torch.ones(1)), "'y' has shape"),
    "features without a number": (
        lambda: PYG.Data(edge_index=EDGES, x=torch.full((3, 1), torch.nan)),
        "'x' has a number that is not finite",
    ),
    "features of other nodes": (
        lambda: PYG.Data(edge_index=EDGES, x=torch.ones(2, 1), num_nodes=3),
        r"'x' must have shape",
    ),
    "weights of nothing": (
        lambda: PYG.Data(edge_index=EDGES, edge_weight=torch.zeros(4), num_nodes=3),
        r"'edge_weight' has 0 at \[0\]: above 0",
    ),
    "weights of other edges, with a direction that is stated": (
        lambda: PYG.Data(edge_index=EDGES, edge_weight=torch.ones(5), directed=True, num_nodes=3),
        r"'edge_weight' must have shape \(4,\), not \(5,\)",
    ),
    "ids twice": (lambda: PYG.Data(edge_index=EDGES, node_id=["a", "b", "a"]), "'node_id' has 'a' twice"),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_one_line_names_what_it_is_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    make, message = WRONG[kind]
    monkeypatch.chdir(tmp_path)
    path = _saved(tmp_path, make())
    with pytest.raises(UnreadableDataset, match=message) as error:
        open_source(str(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["graph.pt"], "nothing of the file ran"


def test_damaged_and_older_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = _saved(tmp_path, PYG.Data(edge_index=EDGES))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnreadableDataset, match=r"not a whole file of torch.save .*: save or copy it again"):
        open_source(str(path))
    torch.save(PYG.Data(edge_index=EDGES), path, _use_new_zipfile_serialization=False)
    with pytest.raises(UnreadableDataset, match="a Python pickle, which is never read"):
        open_source(str(path))
    path.write_bytes(pickle.dumps(_RunsCode()))
    with pytest.raises(UnreadableDataset, match="a Python pickle, which is never read"):
        open_source(str(path))
    assert not Path("it-ran").exists()


def test_columns_of_what_has_none_are_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, PYG.Data(edge_index=EDGES))
    with pytest.raises(WrongMapping, match=r"is a Data of PyG, which states itself .*: leave out --source"):
        open_source(str(path), tables=TableOptions(source="a", target="b"))
    np.savez(tmp_path / "graph.npz", edges=EDGES.numpy(), label=[0, 0, 0])
    with pytest.raises(WrongMapping, match="is an archive of arrays"):
        open_source(str(tmp_path / "graph.npz"), tables=TableOptions(source="a", target="b"))
