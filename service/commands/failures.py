"""How a command ends after an error of its environment: with one message instead of a traceback."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import typer
from pydantic import ValidationError

from service.api_keys import KeysUnusable
from service.archive.history import HistoryBroken
from service.archive.place import ArchiveUnusable
from service.archive.rebuild import NothingToRebuild
from service.client.errors import ServiceError
from service.evaluation.configurations import WrongConfiguration
from service.exit_codes import REFUSES
from service.export.failed import ExportFailed
from service.local.data_dir import DataDirInUse, DataDirUnusable
from service.local.embedded_redis import RedisFailed
from service.local.processes import LocalServiceFailed
from service.local.redis_program import RedisNotFound
from service.local.redis_repair import RepairFailed
from service.redaction import printable, redacted
from service.replay.arrival_stream import UnreadableDataset
from service.replay.progress import ProgressBusy
from service.replay.sources import SourceNotFound
from service.replay.table_options import WrongMapping
from service.settings import Settings
from service.terminal import Terminal

_EXPECTED = (
    ArchiveUnusable,
    DataDirInUse,
    ExportFailed,
    HistoryBroken,
    KeysUnusable,
    NothingToRebuild,
    ProgressBusy,
    RedisFailed,
    RedisNotFound,
    RepairFailed,
    ServiceError,
    SourceNotFound,
    LocalServiceFailed,
    UnreadableDataset,
    WrongConfiguration,
    WrongMapping,
)


@contextlib.contextmanager
def reported_failures() -> Iterator[None]:
    """Print an expected error and end with status 1, or 78 where a file or folder cannot be used.

    Ctrl-C within raises :class:`KeyboardInterrupt`, which ends the program with status 130 without a message.
    """
    try:
        with _interruptible():
            yield
    except _EXPECTED as error:
        _print_error(error)
        raise typer.Exit(1) from None
    except DataDirUnusable as error:
        _print_error(error)
        raise typer.Exit(REFUSES) from None
    except OSError as error:
        if error.filename is None:  # Not about a file: nothing that a user could have expected.
            raise
        _print_error(f"{error.filename}: {error.strerror}")
        raise typer.Exit(REFUSES) from None


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C unwind what is being done, so that terminal and files are left in order."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def read_settings(**given: Any) -> Settings:
    """The settings out of the environment, with those given on the command line (not None) on top."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        console = Terminal(stderr=True)
        for problem in error.errors():
            name = "OLAD_" + "_".join(str(part) for part in problem["loc"][:1]).upper()
            console.print(f"[bold red]error:[/] {name}: {_escaped(problem['msg'])}", soft_wrap=True)
        raise typer.Exit(2) from None


def _print_error(message: object) -> None:
    Terminal(stderr=True).print(f"[bold red]error:[/] {_escaped(message)}", soft_wrap=True)


def _escaped(message: object) -> str:
    safe = "\n".join(printable(line) for line in redacted(str(message)).split("\n"))
    return safe.replace("[", r"\[")
