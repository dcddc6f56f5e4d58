"""The whole state as one directory: written whole or not at all, checked when read.

A checkpoint is a directory with ``tensors.safetensors``, ``values.json`` and ``manifest.json``, which
holds the format's version, the SHA-256 of the other two and that of its own content. It is written under a temporary
name, flushed to disk and renamed, so that a directory with a checkpoint's name is a whole checkpoint.

Only directories named ``checkpoint-`` and a number of twelve digits or more are checkpoints. Whatever else stands
beside them (copies, files, links) is neither read nor deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from olad_core.errors import OladError

FORMAT = 12
"""Version of the format that is written. A release that changes it describes in CHANGELOG.md what to do."""
VALUES_FORMAT = 11
"""The format of a checkpoint of a graph with tasks that predict values, those of edges alone."""
TASKS_FORMAT = 10
"""The format of a checkpoint of a graph with tasks, none of which predicts values."""
IDS_FORMAT = 9
"""The format of a checkpoint of a graph whose edges have ids, and that has no tasks."""
TYPED_FORMAT = 8
"""The format of a checkpoint of a graph with types whose edges have no ids."""
UNTYPED_FORMAT = 7
"""The format of a checkpoint of a graph that declares no types, which the release before types reads too."""
_READABLE = (4, 5, 6, UNTYPED_FORMAT, TYPED_FORMAT, IDS_FORMAT, TASKS_FORMAT, VALUES_FORMAT, FORMAT)
"""Formats that are read: each reads its predecessor."""
_TENSORS, _VALUES, _MANIFEST = "tensors.safetensors", "values.json", "manifest.json"
_PREFIX, _UNFINISHED = "checkpoint-", ".unfinished-"
_OWN_DIGEST = "manifest_sha256"
_NAME = re.compile(r"(checkpoint-|\.unfinished-)([0-9]{12,200})")
_POSITION = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


class BrokenCheckpoint(OladError, ValueError):
    """A checkpoint that is not whole."""


class OtherFormat(OladError, RuntimeError):
    """A checkpoint of another format: nothing is wrong with it, but this release cannot read it."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's content."""

    path: Path
    tensors: dict[str, Tensor]
    values: dict[str, object]


def write_checkpoint(root: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object], keep: int) -> Path:
    """Write the next checkpoint below ``root``; all but the newest ``keep`` are deleted, as far as they can be.

    Returns:
        The new checkpoint's directory. Names sort in the order of writing.

    Raises:
        OSError: it could not be written; the earlier ones are still there.
    """
    root.mkdir(parents=True, exist_ok=True)
    for _, leftover in _numbered(root, _UNFINISHED):
        # One that cannot be deleted only keeps its number.
        shutil.rmtree(leftover, ignore_errors=True)
    taken = [_number(path.name)[1] for path in root.iterdir() if _NAME.fullmatch(path.name)]
    name = f"{max(taken, default=0) + 1:012d}"
    unfinished = root / f"{_UNFINISHED}{name}"
    unfinished.mkdir()
    try:
        _write_files(unfinished, tensors, values)
        finished = root / f"{_PREFIX}{name}"
        unfinished.rename(finished)
    except Exception:
        # What is there of it would only keep a full disk full.
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _flush(root)
    for old in list_checkpoints(root)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return finished


def _write_files(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
    try:
        save_file(dict(tensors), folder / _TENSORS)
    except SafetensorError as error:  # a full disk comes out of it as this
        raise OSError(f"{folder / _TENSORS}: {error}") from error
    (folder / _VALUES).write_text(json.dumps(values, indent=1, sort_keys=True))
    typed = any(name.startswith(("graph/relations", "graph/node_types")) for name in tensors)
    written = TYPED_FORMAT if typed else UNTYPED_FORMAT
    if any(name.startswith("graph/") and "parallel_" in name for name in tensors):
        written = IDS_FORMAT
    if "graph/tasks" in tensors:
        written = TASKS_FORMAT
    if any(name.startswith("value_tasks/") for name in tensors):
        written = VALUES_FORMAT
    if any(name.startswith("node_values/") for name in tensors):
        written = FORMAT
    manifest = {"format": written, "sha256": {name: _digest(folder / name) for name in (_TENSORS, _VALUES)}}
    (folder / _MANIFEST).write_text(json.dumps(manifest | {_OWN_DIGEST: _digest_of(manifest)}, indent=1))
    for path in (folder / _TENSORS, folder / _VALUES, folder / _MANIFEST, folder):
        _flush(path)


def list_checkpoints(root: Path) -> list[Path]:
    """Directories of the finished checkpoints, oldest first.

    Raises:
        OSError: ``root`` cannot be read; one that is not there has none.
    """
    return [path for _, path in _numbered(root, _PREFIX)]


def _numbered(root: Path, prefix: str) -> list[tuple[int, Path]]:
    """Directories of exactly our names below ``root``, by their numbers."""
    try:
        with os.scandir(root) as entries:
            ours = [
                (_number(entry.name)[1], root / entry.name)
                for entry in entries
                if _number(entry.name)[0] == prefix and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    return sorted(ours)


def _number(name: str) -> tuple[str, int]:
    """Prefix and number of a name as :func:`write_checkpoint` gives them; an empty prefix for any other."""
    match = _NAME.fullmatch(name)
    if match is None or f"{int(match[2]):012d}" != match[2]:
        return "", 0
    return match[1], int(match[2])


def find_checkpoints(directory: Path) -> list[Path]:
    """Finished checkpoints of a checkpoint's own directory, of a directory of checkpoints, or of a data directory."""
    if directory.name.startswith(_PREFIX) or (directory / _MANIFEST).exists():
        return [directory]
    folders = [Path(folder) for folder, _, _ in os.walk(directory)]
    return sorted(path for folder in folders for path in list_checkpoints(folder))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and check one checkpoint.

    Raises:
        BrokenCheckpoint: naming what is wrong with it.
        OtherFormat: another release has written it.
    """
    try:
        check_checkpoint(path)
        return Checkpoint(path, load_file(path / _TENSORS), _read_json(path / _VALUES))
    except (OSError, KeyError, TypeError, ValueError, OverflowError, SafetensorError) as error:
        if isinstance(error, BrokenCheckpoint):
            raise
        raise BrokenCheckpoint(f"{path}: {type(error).__name__}: {error}") from error


def check_checkpoint(path: Path) -> None:
    """Check a checkpoint's format and checksums, in memory that does not depend on its size.

    Raises:
        BrokenCheckpoint: naming what is wrong with it.
        OtherFormat: another release has written it.
    """
    try:
        manifest = _read_json(path / _MANIFEST)
        # Checkpoints of earlier releases have no such checksum.
        own = manifest.pop(_OWN_DIGEST, None)
        if own is not None and own != _digest_of(manifest):
            raise BrokenCheckpoint(f"{path / _MANIFEST}: the content does not match its checksum")
        found = manifest.get("format")
        if type(found) is int and found not in _READABLE:
            raise OtherFormat(
                f"{path} has format {found}, this release reads format {FORMAT}: use the release that wrote it, "
                "or another data directory"
            )
        if type(found) is not int:
            raise BrokenCheckpoint(f"{path / _MANIFEST}: no format")
        for name in (_TENSORS, _VALUES):
            if _digest(path / name) != manifest["sha256"][name]:
                raise BrokenCheckpoint(f"{path / name}: the content does not match its checksum")
    except (OSError, KeyError, TypeError) as error:
        raise BrokenCheckpoint(f"{path}: {type(error).__name__}: {error}") from error


def newest_checkpoint(root: Path) -> tuple[Checkpoint | None, list[BrokenCheckpoint]]:
    """The newest whole checkpoint below ``root``, and what was wrong with any newer one.

    Raises:
        OtherFormat: one that would have been taken is of another release; an older one is no substitute.
    """
    skipped: list[BrokenCheckpoint] = []
    for path in reversed(list_checkpoints(root)):
        try:
            return read_checkpoint(path), skipped
        except BrokenCheckpoint as broken:
            skipped.append(broken)
    return None, skipped


def oldest_position(root: Path, keep: int | None = None) -> str | None:
    """Position of the oldest checkpoint, of the newest ``keep`` where given: the log is needed from there on."""
    paths = list_checkpoints(root)
    positions = (read_position(path) for path in (paths if keep is None else paths[-keep:]))
    return next((position for position in positions if position is not None), None)


def read_position(path: Path) -> str | None:
    """Position of one checkpoint; None where it cannot be read. Nothing else of it is checked."""
    try:
        position = _read_json(path / _VALUES).get("position")
    except (OSError, BrokenCheckpoint):
        return None
    return position if isinstance(position, str) and _POSITION.fullmatch(position) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:  # nesting without end, and neither UTF-8 nor JSON
        raise BrokenCheckpoint(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise BrokenCheckpoint(f"{path}: no JSON object")
    return content


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _digest_of(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
