from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from olad_core.events import UpsertEdge
from service.replay.archive_graph import SparseRows
from service.replay.arrival_stream import UnreadableDataset
from service.replay.npz import read_npz

SMALL: dict[str, Any] = {"label": np.array([0, 1, -1], np.int16), "edges": np.array([[0, 1], [1, 2]], np.int32)}
SPARSE: dict[str, Any] = {
    "x_data": np.array([1.0, 2.0], np.float32),
    "x_indices": np.array([4, 0], np.int32),
    "x_indptr": np.array([0, 1, 1, 2], np.int32),
    "x_shape": np.array([3, 5]),
}


def _write(folder: Path, **arrays: Any) -> Path:
    path = folder / "graph.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_reads_every_array(tmp_path: Path) -> None:
    graph = read_npz(
        _write(
            tmp_path, **SMALL, **SPARSE, classes=np.array(["red", "blue"]),
            node_time=np.array([3, 1, 2], np.int32), edge_time=np.array([3, 2], np.int64),
        )
    )  # fmt: skip
    assert graph.labels.tolist() == [0, 1, -1]
    assert graph.classes == ("red", "blue")
    assert graph.edges.tolist() == [[0, 1], [1, 2]]
    assert graph.node_time is not None
    assert graph.node_time.tolist() == [3, 1, 2]
    assert graph.edge_time is not None
    assert graph.edge_time.tolist() == [3, 2]
    assert isinstance(graph.features, SparseRows)
    assert (graph.features.width, graph.features.indices.tolist()) == (5, [4, 0])


def test_only_edges_and_labels_are_needed_and_features_may_be_dense(tmp_path: Path) -> None:
    bare = read_npz(_write(tmp_path, **SMALL))
    assert (bare.node_time, bare.edge_time, bare.features) == (None, None, None)
    assert bare.classes == ("0", "1")
    dense = read_npz(_write(tmp_path, **SMALL, x=np.ones((3, 2))))
    assert isinstance(dense.features, np.ndarray)
    assert dense.features.dtype == np.float32


def test_reads_the_layout_in_which_the_citation_graphs_are_published(tmp_path: Path) -> None:
    # Both directions of 0-1, one of 1-2, a self-loop: two undirected edges.
    adjacency = csr_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 0, 1]], np.float32))
    features = csr_matrix(np.array([[0, 2], [0, 0], [3, 0]], np.float32))
    arrays: dict[str, Any] = {"labels": np.array([1, 0, 2])}
    for name, matrix in (("adj", adjacency), ("attr", features)):
        arrays |= {f"{name}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    graph = read_npz(_write(tmp_path, **arrays, idx_to_node=np.array([{"a": 1}], dtype=object)))
    assert graph.edges.T.tolist() == [[0, 1], [1, 2]]
    assert graph.classes == ("0", "1", "2")
    assert isinstance(graph.features, SparseRows)
    assert (graph.features.values.tolist(), graph.features.width) == ([2, 3], 2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"edges": None}, "no array 'edges'"),
        ({"label": None}, "no array 'label'"),
        ({"label": np.zeros((3, 1), np.int16)}, "'label' must have shape"),
        ({"edges": np.zeros((3, 2), np.int32)}, "'edges' must have shape"),
        ({"edges": np.array([[0], [3]])}, "outside 0..2"),
        ({"edges": np.array([[-1], [0]])}, "outside 0..2"),
        ({"classes": np.array(["one"])}, "'classes' names 1"),
        ({"node_time": np.zeros(2)}, "'node_time' must have shape"),
        ({"edge_time": np.array([1.0, np.nan])}, "'edge_time' has a time that is not finite"),
        ({"x": np.zeros((2, 4))}, "'x' must have shape"),
        ({"x_data": np.zeros(1)}, "sparse features need"),
        (SPARSE | {"x_indptr": np.array([0, 1, 2])}, "do not fit"),
        (SPARSE | {"x_indices": np.array([5, 0])}, "'x_indices' goes outside"),
        ({"edges": np.array([[{}], [{}]], dtype=object)}, "Python objects"),
        ({"adj_indptr": np.zeros(1)}, "no array 'labels'"),
        ({"label": np.array(["red", "blue", "red"])}, "'label' holds text: store class numbers .*np.unique"),
        ({"label": np.array([0.0, np.nan, 1.0])}, "'label' holds nan.*-1"),
        ({"label": np.array([0.0, 0.5, 1.0])}, "'label' holds 0.5"),
        ({"label": np.array([0, 1, 10**6])}, "'label' goes up to 1000000: number the classes"),
        ({"label": np.array([0, 1, 2**63], np.uint64)}, "'label' holds 9223372036854775808"),
        ({"label": np.array([0j, 1j, 0])}, "'label' holds complex128"),
        ({"classes": np.array(["red", "blue", "red"])}, "'classes' names 'red' twice"),
        ({"classes": np.array(["red", ""])}, "'classes' has a name of 0 bytes"),
        ({"classes": np.array(["red", "é" * 129])}, "'classes' has a name of 258 bytes"),
        ({"classes": np.array([["red"], ["blue"]])}, "'classes' must have shape"),
        ({"classes": np.array(["red", None], dtype=object)}, "'classes' has Python objects, which are never read"),
        ({"edges": np.array([["0", "1"], ["1", "2"]])}, "'edges' holds text"),
        ({"edges": np.array([[0.0, 1.0], [np.nan, 2.0]])}, "'edges' holds nan"),
        ({"edges": np.array([[0, 1], [1, -2]])}, r"outside 0\.\.2: edges\[1, 1\] is -2"),
        ({"edges": np.zeros((5, 2), np.int64)}, "transpose it"),
        ({"edge_time": np.array(["2020-01-01", "NaT"], "datetime64[s]")}, "'edge_time' holds dates: store numbers"),
        ({"edge_time": np.array(["1", "2"])}, "'edge_time' holds text"),
        ({"node_time": np.array([1.0, np.inf, 2.0])}, r"'node_time' has a time that is not finite \(at \[1\]: inf"),
        ({"node_time": np.array([1.0, 1e31, 2.0])}, "'node_time' has a time beyond 1e\\+30"),
        ({"x": np.array([[1.0], [np.nan], [0.0]])}, r"'x' has a number .* \(at \[1, 0\]: nan\).*nan_to_num"),
        ({"x": np.array([[1.0], [1e39], [0.0]])}, "'x' has a number that is not finite in float32"),
        ({"x": np.array([["a"], ["b"], ["c"]])}, "'x' holds text"),
        ({"x": np.zeros(3)}, "'x' must have shape"),
        ({"x": np.zeros((3, 0))}, "'x' has 0 features a node"),
        ({"x": np.zeros((3, 65_537), np.uint8)}, "'x' has 65537 features a node"),
        (SPARSE | {"x_data": np.array([1.0, np.nan])}, "'x_data' has a number that is not finite"),
        (SPARSE | {"x_shape": np.array([3])}, "'x_shape' must be"),
        (SPARSE | {"x_shape": np.array([4, 5])}, "'x_shape' must be"),
        (SPARSE | {"x_indptr": np.array([0, 2, 1, 2])}, "do not fit"),
        (SPARSE | {"x_indptr": np.array([-1, 1, 1, 2])}, "do not fit"),
        (SPARSE | {"x_indptr": np.array([0, 2, 2, 2]), "x_indices": np.array([4, 4])}, "a column twice in one row"),
    ],
)
def test_says_what_does_not_fit(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    arrays = {key: value for key, value in (SMALL | change).items() if value is not None}
    with pytest.raises(UnreadableDataset, match=named) as error:
        read_npz(_write(tmp_path, **arrays))
    assert "graph.npz" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"plain text", b"PK\x03\x04 cut short"])
def test_refuses_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "graph.npz"
    path.write_bytes(content)
    with pytest.raises(UnreadableDataset, match="not a NumPy archive"):
        read_npz(path)


def test_refuses_a_single_array(tmp_path: Path) -> None:
    path = tmp_path / "array.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UnreadableDataset, match="a single array"):
        read_npz(path)


def test_names_an_array_that_claims_more_than_there_is_memory(tmp_path: Path) -> None:
    path = _write(tmp_path, **SMALL)
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (2, 1000000000000000), }"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("edge_time.npy", header.ljust(127) + b"\n")
    with pytest.raises(UnreadableDataset, match=r"graph\.npz: 'edge_time' (does not fit into memory|is damaged)"):
        read_npz(path)


def test_whole_numbers_may_be_stored_as_floats(tmp_path: Path) -> None:
    arrays = {name: array.astype(np.float64) for name, array in SMALL.items()}
    graph = read_npz(_write(tmp_path, **arrays))
    assert {graph.labels.dtype, graph.edges.dtype} == {np.dtype(np.int64)}
    assert graph.labels.tolist() == [0, 1, -1]


TYPED: dict[str, Any] = {"edge_type": np.array([1, 0]), "edge_types": np.array(["knows", "sent"])}


def test_reads_types_of_edges(tmp_path: Path) -> None:
    graph = read_npz(_write(tmp_path, **SMALL, **TYPED, edge_type_directed=np.array([False, True])))
    assert {name: each.directed for name, each in graph.schema().edge_types.items()} == {"knows": False, "sent": True}
    sent = [event for arrival in graph.arrivals() for event in arrival.events if isinstance(event, UpsertEdge)]
    assert {(edge.src, edge.dst, edge.type) for edge in sent} == {(0, 1, "sent"), (1, 2, "knows")}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"edge_type": np.array([0])}, r"'edge_type' must have shape \(2,\), one for each edge, not \(1,\)"),
        ({"edge_x": np.ones((2, 1))}, r"'edge_x' needs 'edge_type_width'"),
        ({"edge_x": np.ones((2, 1)), "edge_type_width": np.array([2, 0])}, r"not above the columns of 'edge_x'"),
        ({"edge_x": np.ones((3, 1)), "edge_type_width": np.array([1, 0])}, r"'edge_x' must have shape \(2, D\)"),
        ({"edge_id": np.array(["a"])}, r"'edge_id' must hold 2 texts"),
        ({"edge_id": np.array([1, 2])}, r"'edge_id' must hold 2 texts"),
        ({"edge_type": np.array([0, 0]), "edge_id": np.array(["a", "a"])}, r"'edge_id' has 'a' twice in a type"),
        ({"edge_type": np.array([0, 0]), "edge_id": np.array(["a", ""])}, r"'edge_id' is empty for an edge of a type"),
        ({"edge_id": np.array(["a", "é" * 200])}, r"'edge_id' has an id of 400 bytes"),
        ({"edge_type": np.array([0, 2])}, r"'edge_type' holds numbers outside 0..1: 'edge_types' has 2 names"),
    ],
)
def test_types_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(UnreadableDataset, match=message):
        read_npz(_write(tmp_path, **SMALL, **{**TYPED, **arrays}))
