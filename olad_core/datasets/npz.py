"""Graphs out of compressed NumPy archives, read without pickle."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from olad_core.datasets.graph import Floats, GraphDataset, SparseRows
from olad_core.datasets.stream import UnreadableDataset

Arrays = dict[str, npt.NDArray[Any]]

_KEYS = (
    "label", "classes", "edges", "node_time", "edge_time", "x", "x_data", "x_indices", "x_indptr", "x_shape"
)  # fmt: skip
_PUBLISHED_KEYS = (
    "labels", "adj_indices", "adj_indptr", "attr_data", "attr_indices", "attr_indptr", "attr_shape"
)  # fmt: skip


def read_npz(path: Path) -> GraphDataset:
    """Read a graph from an archive of arrays.

    Two layouts are understood. Ours: ``edges`` (2, E), ``label`` (N,) with -1 for unknown, and, where
    there are any, ``classes``, ``node_time``, ``edge_time`` and features, dense as ``x`` (N, F) or as CSR in
    ``x_data``, ``x_indices``, ``x_indptr``, ``x_shape``. And the one in which the citation graphs of
    Bojchevski and Guennemann are published: ``adj_*`` and ``attr_*`` as CSR, ``labels``, no times.

    Raises:
        UnreadableDataset: naming the file and the array that is missing or does not fit.
    """
    arrays = _load(path)
    if "adj_indptr" in arrays:
        arrays = _from_published(arrays, path)
    for key in ("edges", "label"):
        if key not in arrays:
            _refuse(path, f"has no array '{key}'; it has {', '.join(sorted(arrays)) or 'none that is known'}")
    labels = arrays["label"].astype(np.int64)
    edges = arrays["edges"].astype(np.int64)
    if labels.ndim != 1:
        _refuse(path, f"'label' must have shape (N,), not {labels.shape}")
    if edges.ndim != 2 or edges.shape[0] != 2:
        _refuse(path, f"'edges' must have shape (2, E), not {edges.shape}")
    if edges.size and not 0 <= edges.min() <= edges.max() < len(labels):
        _refuse(path, f"'edges' names nodes outside 0..{len(labels) - 1}")
    return GraphDataset(
        labels=labels,
        classes=_classes(arrays, labels, path),
        edges=edges,
        node_time=_times(arrays, "node_time", len(labels), path),
        edge_time=_times(arrays, "edge_time", edges.shape[1], path),
        features=_features(arrays, len(labels), path),
    )


def _refuse(path: Path, problem: str) -> NoReturn:
    raise UnreadableDataset(f"{path}: {problem}")


def _load(path: Path) -> Arrays:
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UnreadableDataset(f"{path}: not a NumPy archive ({error})") from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            _refuse(path, "a single array, not an .npz archive")
        with archive:
            try:
                return {key: archive[key] for key in (*_KEYS, *_PUBLISHED_KEYS) if key in archive.files}
            except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise UnreadableDataset(f"{path}: damaged, or an array of Python objects ({error})") from None


def _from_published(arrays: Arrays, path: Path) -> Arrays:
    for key in _PUBLISHED_KEYS:
        if key not in arrays:
            _refuse(path, f"has 'adj_indptr' but no array '{key}'")
    indptr = arrays["adj_indptr"].astype(np.int64)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    pairs = np.sort(np.stack([rows, arrays["adj_indices"].astype(np.int64)]), axis=0)
    pairs = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)
    features = {f"x_{part}": arrays[f"attr_{part}"] for part in ("data", "indices", "indptr", "shape")}
    return {"label": arrays["labels"], "edges": pairs, **features}


def _classes(arrays: Arrays, labels: npt.NDArray[np.int64], path: Path) -> tuple[str, ...]:
    count = int(labels.max(initial=-1)) + 1
    names = arrays["classes"].tolist() if "classes" in arrays else range(count)
    if len(names) < count:
        _refuse(path, f"'label' goes up to {count - 1} but 'classes' names {len(names)}")
    return tuple(str(name) for name in names)


def _times(arrays: Arrays, key: str, length: int, path: Path) -> Floats | None:
    if key not in arrays:
        return None
    times = arrays[key].astype(np.float64)
    if times.shape != (length,):
        _refuse(path, f"'{key}' must have shape ({length},), not {times.shape}")
    if not np.isfinite(times).all():
        _refuse(path, f"'{key}' has a time that is not finite")
    return times


def _features(arrays: Arrays, nodes: int, path: Path) -> npt.NDArray[np.float32] | SparseRows | None:
    if "x" in arrays:
        dense = arrays["x"].astype(np.float32)
        if dense.ndim != 2 or len(dense) != nodes:
            _refuse(path, f"'x' must have shape ({nodes}, F), not {dense.shape}")
        return dense
    parts = [key for key in ("x_data", "x_indices", "x_indptr", "x_shape") if key in arrays]
    if not parts:
        return None
    if len(parts) < 4:
        _refuse(path, f"sparse features need x_data, x_indices, x_indptr and x_shape; only {', '.join(parts)} there")
    rows = SparseRows(
        values=arrays["x_data"].astype(np.float32),
        indices=arrays["x_indices"].astype(np.int64),
        indptr=arrays["x_indptr"].astype(np.int64),
        width=int(arrays["x_shape"][1]),
    )
    if (
        rows.indptr.shape != (nodes + 1,)
        or rows.indptr[-1] != len(rows.values)
        or len(rows.indices) != len(rows.values)
    ):
        _refuse(path, "the arrays of the sparse features do not fit each other")
    if rows.indices.size and not 0 <= rows.indices.min() <= rows.indices.max() < rows.width:
        _refuse(path, f"'x_indices' goes outside 0..{rows.width - 1}")
    return rows
