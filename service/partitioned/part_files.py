"""Checkpoints of a worker with partitions: a directory for each rank, and one manifest that is written last.

``partitioned-000000000007`` has ``rank-0`` and so on, each with ``part.safetensors``; ``shared.safetensors`` with the
weights; ``values.json``; and ``manifest.json``, which names the number of ranks, the position and the SHA-256 of every
file. Without the manifest a directory is no checkpoint.
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

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from service.worker.checkpoint import BrokenCheckpoint, OtherFormat

FORMAT = 1
_PREFIX = "partitioned-"
_NAME = re.compile(r"partitioned-([0-9]{12,200})")
_MANIFEST, _VALUES, _SHARED, _PART = "manifest.json", "values.json", "shared.safetensors", "part.safetensors"


class Manifest(msgspec.Struct, frozen=True):
    """What a checkpoint consists of.

    Attributes:
        format: version of the format.
        ranks: how many parts it has.
        position: of the last entry that is part of it.
        sha256: of each file, by its path within the checkpoint.
    """

    format: int
    ranks: int
    position: str
    sha256: dict[str, str]


@dataclass(frozen=True)
class Complete:
    """A checkpoint with a manifest."""

    path: Path
    manifest: Manifest


def part_name(rank: int) -> str:
    """Path of a rank's file within a checkpoint."""
    return f"rank-{rank}/{_PART}"


def numbered(root: Path) -> list[tuple[int, Path]]:
    """Directories with names of checkpoints below ``root`` by their numbers, complete or not.

    Raises:
        OSError: ``root`` cannot be read; one that is not there has none.
    """
    try:
        with os.scandir(root) as entries:
            found = [(_NAME.fullmatch(entry.name), entry) for entry in entries]
            return sorted(
                (int(match[1]), root / entry.name)
                for match, entry in found
                if match and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []


def folder_of(root: Path, number: int) -> Path:
    """Directory of the checkpoint with a number."""
    return root / f"{_PREFIX}{number:012d}"


def list_complete(root: Path) -> list[Complete]:
    """Checkpoints with a manifest that can be read, oldest first.

    Raises:
        OtherFormat: one is of another release.
    """
    found = []
    for _, path in numbered(root):
        try:
            found.append(Complete(path, read_manifest(path)))
        except BrokenCheckpoint:
            continue
    return found


def read_manifest(path: Path) -> Manifest:
    """The manifest of a checkpoint.

    Raises:
        BrokenCheckpoint: there is none, or it cannot be read.
        OtherFormat: another release has written it.
    """
    try:
        manifest = msgspec.json.decode((path / _MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BrokenCheckpoint(f"{path / _MANIFEST}: {error}") from error
    if manifest.format != FORMAT:
        raise OtherFormat(
            f"{path} has format {manifest.format}, this release reads format {FORMAT} of checkpoints with partitions: "
            "use the release that wrote it, or another data directory"
        )
    return manifest


def write_part(folder: Path, rank: int, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, str]:
    """Write a rank's part into a checkpoint that is begun; the checksum by path.

    Raises:
        OSError: it could not be written.
    """
    path = folder / part_name(rank)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _save({name: torch.from_numpy(np.asarray(array, order="C")) for name, array in arrays.items()}, path)
    _flush(path.parent)
    return {part_name(rank): _digest(path)}


def write_shared(folder: Path, tensors: Mapping[str, Tensor], values: Mapping[str, object]) -> dict[str, str]:
    """Write what is the same at all ranks into a checkpoint that is begun; the checksums by path.

    Raises:
        OSError: it could not be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, folder / _SHARED)
    (folder / _VALUES).write_text(json.dumps(values, indent=1, sort_keys=True))
    _flush(folder / _VALUES)
    return {name: _digest(folder / name) for name in (_SHARED, _VALUES)}


def write_manifest(root: Path, number: int, manifest: Manifest, keep: int) -> Path:
    """Complete a checkpoint; all but the newest ``keep`` complete ones are deleted.

    Raises:
        OSError: it could not be written, or a file of another rank is not there: the directory is not shared.
    """
    folder = folder_of(root, number)
    for name in manifest.sha256:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is not there: all ranks need one shared OLAD_DATA_DIR")
    unfinished = folder / f".{_MANIFEST}"
    unfinished.write_bytes(msgspec.json.encode(manifest))
    _flush(unfinished)
    unfinished.rename(folder / _MANIFEST)
    _flush(folder)
    _flush(root)
    for old in list_complete(root)[:-keep]:
        # Without its manifest it is none, even where not all of it can be deleted.
        (old.path / _MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(old.path, ignore_errors=True)
    return folder


def next_number(root: Path) -> int:
    """The number after those of all checkpoints, complete or not. Directories of incomplete ones are deleted.

    Raises:
        OSError: ``root`` cannot be read.
    """
    found = numbered(root)
    for _, path in found:
        if not (path / _MANIFEST).exists():
            shutil.rmtree(path, ignore_errors=True)
    return max((number for number, _ in found), default=0) + 1


def read_part(checkpoint: Complete, rank: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a rank's part, mapped from the file; nobody may write to them.

    Raises:
        BrokenCheckpoint: its content does not match its checksum.
    """
    return {name: tensor.numpy() for name, tensor in _load(checkpoint, part_name(rank)).items()}


def read_shared(checkpoint: Complete) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and values that are the same at all ranks.

    Raises:
        BrokenCheckpoint: the content does not match its checksum.
    """
    _check(checkpoint, _VALUES)
    return _load(checkpoint, _SHARED), json.loads((checkpoint.path / _VALUES).read_bytes())


def _load(checkpoint: Complete, name: str) -> dict[str, Tensor]:
    _check(checkpoint, name)
    try:
        return load_file(checkpoint.path / name)
    except (OSError, SafetensorError) as error:
        raise BrokenCheckpoint(f"{checkpoint.path / name}: {error}") from error


def _check(checkpoint: Complete, name: str) -> None:
    try:
        if _digest(checkpoint.path / name) != checkpoint.manifest.sha256[name]:
            raise BrokenCheckpoint(f"{checkpoint.path / name}: the content does not match its checksum")
    except (OSError, KeyError) as error:
        raise BrokenCheckpoint(f"{checkpoint.path / name}: {error}") from error


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:  # a full disk comes out of it as this
        raise OSError(f"{path}: {error}") from error
    _flush(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
