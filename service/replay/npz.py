"""Graphs out of compressed NumPy archives, read without pickle."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.replay.archive_graph import GraphDataset
from service.replay.array_graph import Arrays, are_pointers, graph_of_arrays, integers, refuse
from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import opened_whole

_KEYS = (
    "label", "classes", "edges", "id", "node_time", "edge_time", "edge_weight", "directed",
    "edge_type", "edge_types", "edge_id", "edge_x",
    "edge_type_width", "edge_type_directed", "node_type", "node_types", "node_type_width",
    "x", "has_x", "x_data", "x_indices", "x_indptr", "x_shape",
)  # fmt: skip
_PUBLISHED_KEYS = (
    "labels", "adj_indices", "adj_indptr", "attr_data", "attr_indices", "attr_indptr", "attr_shape"
)  # fmt: skip
_UNREADABLE = (ValueError, EOFError, OSError, RuntimeError, MemoryError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy and zipfile raise for damaged archives; RuntimeError for encrypted ones and unknown compressions."""


def read_npz(path: Path) -> GraphDataset:
    """Read a graph from an archive of arrays, which may be compressed once more.

    Two layouts are understood. Ours is that of :func:`~service.replay.array_graph.graph_of_arrays`. And the one in
    which the citation graphs of Bojchevski and Guennemann are published: ``adj_*`` and ``attr_*`` as CSR, ``labels``,
    no times.

    Raises:
        UnreadableDataset: naming the file, the array that is missing or does not fit, and what to do.
    """
    arrays = _load(path)
    if "adj_indptr" in arrays:
        arrays = _from_published(arrays, path)
    for key in ("edges", "label"):
        if key not in arrays:
            refuse(path, f"has no array '{key}'; it has {', '.join(sorted(arrays)) or 'none that is known'}")
    return graph_of_arrays(arrays, path)


def _load(path: Path) -> Arrays:
    with opened_whole(path) as file:
        begin = file.read(8)
        file.seek(0)
        if begin.startswith(b"\x93NUMPY"):
            refuse(path, "a single array, not an .npz archive: save 'edges' and 'label' with np.savez")
        if not begin.startswith(b"PK"):
            refuse(path, "not a NumPy archive (it does not begin like a zip file): save it with np.savez")
        try:
            archive = np.load(file, allow_pickle=False)
        except _UNREADABLE as error:
            raise UnreadableDataset(f"{path}: not a NumPy archive ({error})") from None
        with archive:
            return {key: _load_array(archive, key, path) for key in (*_KEYS, *_PUBLISHED_KEYS) if key in archive.files}


def _load_array(archive: Any, key: str, path: Path) -> npt.NDArray[Any]:
    try:
        found = archive[key]
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            what = f"'{key}' has Python objects, which are never read: save numbers or text"
        elif isinstance(error, MemoryError):
            what = f"'{key}' does not fit into memory ({error})"
        else:
            what = f"'{key}' is damaged ({error})"
        raise UnreadableDataset(f"{path}: {what}") from None
    if not isinstance(found, np.ndarray):
        refuse(path, f"'{key}' is no array: save it with np.savez")
    return found


def _from_published(arrays: Arrays, path: Path) -> Arrays:
    for key in _PUBLISHED_KEYS:
        if key not in arrays:
            refuse(path, f"has 'adj_indptr' but no array '{key}'")
    indptr, indices = integers(arrays, "adj_indptr", path), integers(arrays, "adj_indices", path)
    if not are_pointers(indptr, len(indptr) - 1, len(indices)) or indices.ndim != 1:
        refuse(path, "'adj_indptr' and 'adj_indices' do not fit each other: save both of one CSR matrix")
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    pairs = np.sort(np.stack([rows, indices]), axis=0)
    pairs = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)
    features = {f"x_{part}": arrays[f"attr_{part}"] for part in ("data", "indices", "indptr", "shape")}
    return {"label": arrays["labels"], "edges": pairs, **features}
