"""The whole state as one directory: written whole or not at all, checked when read.

A checkpoint is a directory with ``tensors.safetensors``, ``values.json`` and ``manifest.json``, which
holds the format's version and the SHA-256 of the other two. It is written under a temporary name, flushed
to disk and renamed, so that a directory with a checkpoint's name is a whole checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

FORMAT = 4
"""Version of the format; readers refuse any other. A release that changes it says in CHANGELOG.md how to go on."""
_TENSORS, _VALUES, _MANIFEST = "tensors.safetensors", "values.json", "manifest.json"
_PREFIX, _UNFINISHED = "checkpoint-", ".unfinished-"


class BrokenCheckpoint(ValueError):
    """A checkpoint that is not whole."""


class OtherFormat(RuntimeError):
    """A checkpoint of another format: nothing is wrong with it, but this release cannot read it."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's content."""

    path: Path
    tensors: dict[str, Tensor]
    values: dict[str, object]


def write_checkpoint(root: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object], keep: int) -> Path:
    """Write the next checkpoint below ``root``; all but the newest ``keep`` are deleted.

    Returns:
        The new checkpoint's directory. Names sort in the order of writing.

    Raises:
        OSError: it could not be written; the earlier ones are still there.
    """
    root.mkdir(parents=True, exist_ok=True)
    for leftover in root.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover)
    paths = list_checkpoints(root)
    number = int(paths[-1].name.removeprefix(_PREFIX)) + 1 if paths else 1
    unfinished = root / f"{_UNFINISHED}{number:012d}"
    unfinished.mkdir()
    try:
        _write_files(unfinished, tensors, values)
    except OSError:
        # What is there of it would only keep a full disk full.
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    finished = root / f"{_PREFIX}{number:012d}"
    unfinished.rename(finished)
    _flush(root)
    for old in [*paths, finished][:-keep]:
        shutil.rmtree(old)
    return finished


def _write_files(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> None:
    try:
        save_file(dict(tensors), folder / _TENSORS)
    except SafetensorError as error:  # a full disk comes out of it as this
        raise OSError(f"{folder / _TENSORS}: {error}") from error
    (folder / _VALUES).write_text(json.dumps(values, indent=1, sort_keys=True))
    manifest = {"format": FORMAT, "sha256": {name: _digest(folder / name) for name in (_TENSORS, _VALUES)}}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1))
    for path in (folder / _TENSORS, folder / _VALUES, folder / _MANIFEST, folder):
        _flush(path)


def list_checkpoints(root: Path) -> list[Path]:
    """Directories of the finished checkpoints, oldest first."""
    return sorted(root.glob(f"{_PREFIX}*"))


def find_checkpoints(directory: Path) -> list[Path]:
    """Finished checkpoints of a checkpoint's own directory, of a directory of checkpoints, or of a data directory."""
    if directory.name.startswith(_PREFIX):
        return [directory]
    return sorted(path for path in directory.rglob(f"{_PREFIX}*") if path.is_dir())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and check one checkpoint.

    Raises:
        BrokenCheckpoint: naming what is wrong with it.
        OtherFormat: another release has written it.
    """
    try:
        check_checkpoint(path)
        return Checkpoint(path, load_file(path / _TENSORS), _read_json(path / _VALUES))
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise BrokenCheckpoint(f"{path}: {type(error).__name__}: {error}") from error


def check_checkpoint(path: Path) -> None:
    """Check a checkpoint's format and checksums, in memory that does not depend on its size.

    Raises:
        BrokenCheckpoint: naming what is wrong with it.
        OtherFormat: another release has written it.
    """
    try:
        manifest = _read_json(path / _MANIFEST)
        found = manifest.get("format")
        if isinstance(found, int) and found != FORMAT:
            raise OtherFormat(
                f"{path} has format {found}, this release reads format {FORMAT}: use the release that wrote it, "
                "or another data directory"
            )
        if found != FORMAT:
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


def oldest_position(root: Path) -> str | None:
    """Position of the oldest kept checkpoint: the log is needed from there on."""
    positions = (read_position(path) for path in list_checkpoints(root))
    return next((position for position in positions if position is not None), None)


def read_position(path: Path) -> str | None:
    """Position of one checkpoint; None where it cannot be read. Nothing else of it is checked."""
    try:
        return str(_read_json(path / _VALUES)["position"])
    except (OSError, KeyError, BrokenCheckpoint):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:  # neither UTF-8 nor JSON have an exception of their own in common
        raise BrokenCheckpoint(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise BrokenCheckpoint(f"{path}: no JSON object")
    return content


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
