"""``olad verify``: are the checkpoints, and the archive, whole?"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from service.archive.history import History, HistoryBroken
from service.archive.place import ArchiveUnusable, DirectoryPlace
from service.archive.segment import span_of
from service.commands.failures import read_settings
from service.store.positions import position_text
from service.terminal import Terminal, shown


@dataclass(frozen=True)
class Finding:
    """One checkpoint, or the archive of one graph.

    Attributes:
        path: its directory.
        whole: whether a worker would take it, or `olad rebuild` would.
        problem: what is wrong with it; empty where nothing is.
        position: of the log, up to which it goes; None where even that cannot be read.
        bytes: size of its files.
    """

    path: str
    whole: bool
    problem: str
    position: str | None
    bytes: int


def verify(
    directory: Annotated[
        Path,
        typer.Argument(
            help="A data directory, a directory of checkpoints, one checkpoint, or an archive.", exists=True
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """Check checkpoints and archives: format, checksums, content, positions. Status 1 where one is broken."""
    # Reading checkpoints needs torch, which the other commands do without.
    from service.worker.checkpoint import find_checkpoints  # noqa: PLC0415
    from service.worker.students import StudentUnusable, register_students  # noqa: PLC0415

    # A checkpoint that needs a student that cannot be imported here is reported as one that cannot be read.
    with contextlib.suppress(StudentUnusable):
        register_students(read_settings().students)
    found = [_look(path) for path in find_checkpoints(directory)]
    found += [_look_at_archive(folder) for folder in _archives(directory)]
    # A running worker deletes old ones meanwhile.
    found = [finding for finding in found if Path(finding.path).exists()]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=1))
    elif found:
        table = Table("checkpoint or archive", "position", "bytes", "whole")
        for finding in found:
            whole = "yes" if finding.whole else f"no: {shown(finding.problem)}"
            table.add_row(shown(finding.path), shown(finding.position or "?"), f"{finding.bytes:,}", whole)
        Terminal().print(table)
    else:
        Terminal(stderr=True).print(f"there is no checkpoint and no archive in {shown(str(directory))}", soft_wrap=True)
    raise typer.Exit(0 if found and all(finding.whole for finding in found) else 1)


def _look(path: Path) -> Finding:
    import torch  # noqa: PLC0415

    from service.worker.checkpoint import BrokenCheckpoint, OtherFormat, read_checkpoint, read_position  # noqa: PLC0415
    from service.worker.restoring import restore_as_it_was  # noqa: PLC0415

    problem = ""
    try:
        restore_as_it_was(read_checkpoint(path), torch.device("cpu"))
    except (BrokenCheckpoint, OtherFormat) as error:
        problem = str(error).removeprefix(f"{path}: ")
    return Finding(str(path), not problem, problem, read_position(path), _size(path))


def _archives(directory: Path) -> list[Path]:
    """Folders in which there is an archive of a graph."""
    return sorted({path.parent for path in directory.rglob("*.segment") if span_of(path.name) is not None})


def _look_at_archive(folder: Path) -> Finding:
    history = History(DirectoryPlace(folder))
    problem = ""
    try:
        for _ in history.segments(left_out=history.left_out):
            pass
    except (ArchiveUnusable, HistoryBroken) as error:
        problem = str(error)
    position = position_text(history.last) if history.last is not None else None
    return Finding(str(folder), not problem, problem, position, _size(folder))


def _size(path: Path) -> int:
    """Bytes of the files in a directory, as far as it can be read."""
    size = 0
    with contextlib.suppress(OSError):
        for file in path.iterdir():
            size += file.stat().st_size
    return size
