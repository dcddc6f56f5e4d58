"""Graphs out of compressed NumPy archives, read without pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from olad_core.events import MAX_FEATURE_WIDTH, MAX_LABEL_BYTES, MAX_TIME
from service.replay.archive_graph import Floats, GraphDataset, SparseRows
from service.replay.arrival_stream import UnreadableDataset

Arrays = dict[str, npt.NDArray[Any]]

_KEYS = (
    "label", "classes", "edges", "node_time", "edge_time", "x", "x_data", "x_indices", "x_indptr", "x_shape"
)  # fmt: skip
_PUBLISHED_KEYS = (
    "labels", "adj_indices", "adj_indptr", "attr_data", "attr_indices", "attr_indptr", "attr_shape"
)  # fmt: skip
_UNREADABLE = (ValueError, EOFError, OSError, RuntimeError, MemoryError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy and zipfile raise for damaged archives; RuntimeError for encrypted ones and unknown compressions."""
_MOST_UNNAMED = 10_000
"""A number of classes that may stand without names, however few nodes there are."""


def read_npz(path: Path) -> GraphDataset:
    """Read a graph from an archive of arrays.

    Two layouts are understood. Ours: ``edges`` (2, E), ``label`` (N,) with -1 for unknown, and, where
    there are any, ``classes``, ``node_time``, ``edge_time`` and features, dense as ``x`` (N, F) or as CSR in
    ``x_data``, ``x_indices``, ``x_indptr``, ``x_shape``. And the one in which the citation graphs of
    Bojchevski and Guennemann are published: ``adj_*`` and ``attr_*`` as CSR, ``labels``, no times.

    Raises:
        UnreadableDataset: naming the file, the array that is missing or does not fit, and what to do.
    """
    arrays = _load(path)
    if "adj_indptr" in arrays:
        arrays = _from_published(arrays, path)
    for key in ("edges", "label"):
        if key not in arrays:
            _refuse(path, f"has no array '{key}'; it has {', '.join(sorted(arrays)) or 'none that is known'}")
    labels = _integers(arrays, "label", path)
    if labels.ndim != 1:
        _refuse(path, f"'label' must have shape (N,), not {labels.shape}")
    edges = _edges(arrays, len(labels), path)
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
        begin = file.read(8)
        file.seek(0)
        if begin.startswith(b"\x93NUMPY"):
            _refuse(path, "a single array, not an .npz archive: save 'edges' and 'label' with np.savez")
        if not begin.startswith(b"PK"):
            _refuse(path, "not a NumPy archive (it does not begin like a zip file): save it with np.savez")
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
        _refuse(path, f"'{key}' is no array: save it with np.savez")
    return found


def _integers(arrays: Arrays, key: str, path: Path) -> npt.NDArray[np.int64]:
    """An array of whole numbers, which may be stored as floats."""
    array = arrays[key]
    if array.dtype.kind in "US":
        what = "store class numbers in 'label', and the names in 'classes'" if key == "label" else "store numbers"
        _refuse(path, f"'{key}' holds text: {what} (np.unique(..., return_inverse=True) gives both)")
    if array.dtype.kind not in "biuf":
        _refuse(path, f"'{key}' holds {array.dtype}, not whole numbers")
    with np.errstate(invalid="ignore"):
        whole: npt.NDArray[np.int64] = array.astype(np.int64)
    if not np.array_equal(whole, array):
        wrong = array[whole != array].ravel()[0]
        unknown = "; the label of a node that has none is -1" if key == "label" else ""
        _refuse(path, f"'{key}' holds {wrong}, which is no whole number of 64 bits{unknown}")
    return whole


def _floats(arrays: Arrays, key: str, path: Path) -> npt.NDArray[np.float64]:
    """An array of numbers, all finite."""
    array = arrays[key]
    if array.dtype.kind in "mM":
        _refuse(path, f"'{key}' holds dates: store numbers, as .astype('datetime64[s]').astype(np.int64) makes them")
    if array.dtype.kind not in "biuf":
        _refuse(path, f"'{key}' holds {'text' if array.dtype.kind in 'US' else array.dtype}, not numbers")
    return array.astype(np.float64)


def _edges(arrays: Arrays, nodes: int, path: Path) -> npt.NDArray[np.int64]:
    edges = _integers(arrays, "edges", path)
    if edges.ndim != 2 or edges.shape[0] != 2:
        turned = ": transpose it" if edges.ndim == 2 and edges.shape[1] == 2 else ""
        _refuse(path, f"'edges' must have shape (2, E), not {edges.shape}{turned}")
    outside = (edges < 0) | (edges >= nodes)
    if outside.any():
        end, at = (int(place[0]) for place in np.nonzero(outside))
        _refuse(
            path,
            f"'edges' names nodes outside 0..{nodes - 1}: edges[{end}, {at}] is {edges[end, at]}. Nodes are numbered "
            "as they stand in 'label'",
        )
    return edges


def _from_published(arrays: Arrays, path: Path) -> Arrays:
    for key in _PUBLISHED_KEYS:
        if key not in arrays:
            _refuse(path, f"has 'adj_indptr' but no array '{key}'")
    indptr, indices = _integers(arrays, "adj_indptr", path), _integers(arrays, "adj_indices", path)
    if not _are_pointers(indptr, len(indptr) - 1, len(indices)) or indices.ndim != 1:
        _refuse(path, "'adj_indptr' and 'adj_indices' do not fit each other: save both of one CSR matrix")
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    pairs = np.sort(np.stack([rows, indices]), axis=0)
    pairs = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)
    features = {f"x_{part}": arrays[f"attr_{part}"] for part in ("data", "indices", "indptr", "shape")}
    return {"label": arrays["labels"], "edges": pairs, **features}


def _classes(arrays: Arrays, labels: npt.NDArray[np.int64], path: Path) -> tuple[str, ...]:
    count = int(labels.max(initial=-1)) + 1
    if "classes" not in arrays:
        if count > max(_MOST_UNNAMED, len(labels)):
            _refuse(path, f"'label' goes up to {count - 1}: number the classes from 0 (np.unique, return_inverse=True)")
        return tuple(str(number) for number in range(count))
    if arrays["classes"].ndim != 1:
        _refuse(path, f"'classes' must have shape (C,), not {arrays['classes'].shape}")
    names = tuple(_name(name) for name in arrays["classes"].tolist())
    if len(names) < count:
        _refuse(path, f"'label' goes up to {count - 1} but 'classes' names {len(names)}")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        _refuse(path, f"'classes' names {twice[0]!r} twice: give each class a name of its own, or one number")
    for name in names:
        if not 1 <= len(name.encode()) <= MAX_LABEL_BYTES:
            _refuse(path, f"'classes' has a name of {len(name.encode())} bytes: names have 1 to {MAX_LABEL_BYTES}")
    return names


def _name(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _times(arrays: Arrays, key: str, length: int, path: Path) -> Floats | None:
    if key not in arrays:
        return None
    times = _floats(arrays, key, path)
    if times.shape != (length,):
        _refuse(path, f"'{key}' must have shape ({length},), not {times.shape}")
    if not np.isfinite(times).all():
        _refuse(path, f"'{key}' has a time that is not finite ({_first_infinite(times)}): give every one a time")
    if np.abs(times).max(initial=0) > MAX_TIME:
        _refuse(path, f"'{key}' has a time beyond {MAX_TIME:g}")
    return times


def _features(arrays: Arrays, nodes: int, path: Path) -> npt.NDArray[np.float32] | SparseRows | None:
    if "x" in arrays:
        dense = _float32(arrays, "x", path)
        if dense.ndim != 2 or len(dense) != nodes:
            _refuse(path, f"'x' must have shape ({nodes}, F), not {dense.shape}")
        _check_width(dense.shape[1], "x", path)
        return dense
    parts = [key for key in ("x_data", "x_indices", "x_indptr", "x_shape") if key in arrays]
    if not parts:
        return None
    if len(parts) < 4:
        _refuse(path, f"sparse features need x_data, x_indices, x_indptr and x_shape; only {', '.join(parts)} there")
    shape = _integers(arrays, "x_shape", path)
    if shape.shape != (2,) or shape[0] != nodes:
        _refuse(path, f"'x_shape' must be ({nodes}, F), not {shape.tolist()}")
    _check_width(int(shape[1]), "x_shape", path)
    rows = SparseRows(
        values=_float32(arrays, "x_data", path),
        indices=_integers(arrays, "x_indices", path),
        indptr=_integers(arrays, "x_indptr", path),
        width=int(shape[1]),
    )
    if rows.values.ndim != 1 or rows.indices.shape != rows.values.shape:
        _refuse(path, "'x_data' and 'x_indices' do not fit each other: save both of one CSR matrix")
    if not _are_pointers(rows.indptr, nodes, len(rows.values)):
        _refuse(path, f"'x_indptr' and 'x_data' do not fit each other, or {nodes} nodes: save both of one CSR matrix")
    if rows.indices.size and not 0 <= rows.indices.min() <= rows.indices.max() < rows.width:
        _refuse(path, f"'x_indices' goes outside 0..{rows.width - 1}")
    places = np.repeat(np.arange(nodes), np.diff(rows.indptr)) * rows.width + rows.indices
    if len(np.unique(places)) < len(places):
        _refuse(path, "'x_indices' names a column twice in one row: call sum_duplicates() of the matrix before saving")
    return rows


def _float32(arrays: Arrays, key: str, path: Path) -> npt.NDArray[np.float32]:
    """Features: finite as float32."""
    if arrays[key].dtype.kind not in "biuf":
        _floats(arrays, key, path)
    with np.errstate(over="ignore"):
        features: npt.NDArray[np.float32] = arrays[key].astype(np.float32)
    if not np.isfinite(features).all():
        _refuse(
            path,
            f"'{key}' has a number that is not finite in float32 ({_first_infinite(features)}): leave NaN and "
            "infinities out, as with np.nan_to_num",
        )
    return features


def _check_width(width: int, key: str, path: Path) -> None:
    if not 1 <= width <= MAX_FEATURE_WIDTH:
        _refuse(path, f"'{key}' has {width} features a node: 1 to {MAX_FEATURE_WIDTH:,}, or leave the array out")


def _are_pointers(indptr: npt.NDArray[np.int64], rows: int, entries: int) -> bool:
    """Whether these cut so many entries into so many rows."""
    if indptr.ndim != 1 or len(indptr) != rows + 1 or not len(indptr):
        return False
    return bool(indptr[0] == 0 and indptr[-1] == entries and (np.diff(indptr) >= 0).all())


def _first_infinite(array: npt.NDArray[Any]) -> str:
    at = tuple(int(place[0]) for place in np.nonzero(~np.isfinite(array)))
    return f"at {list(at)}: {array[at]}"
