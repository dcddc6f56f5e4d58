"""Faults that strike inside a worker at a chosen place: installed after the fork, before the worker begins."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from olad_core.events import Event
from olad_core.graph import Changes, DynamicGraph
from olad_core.serving.publication import Publication
from olad_core.serving.versions import AdvanceOutcome, Versions
from service.archive.place import DirectoryPlace
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.transaction import Transaction
from service.worker import checkpoint

CHECKPOINT_OPERATIONS = ("save_file", "_digest", "_flush", "list_checkpoints")
KILL_POINTS = ("anywhere", "restart", "checkpoint", "publication", "swap")


class Fault(TypedDict):
    """Where to strike: ``point``, and which one of the times the worker comes by."""

    point: str
    number: int
    part: float
    """In ``[0, 1)``: how far into the operation, or into the time."""


def draw(random: np.random.Generator, points: Sequence[str] = KILL_POINTS) -> Fault:
    """A random fault."""
    return Fault(point=str(random.choice(points)), number=int(random.integers(1, 12)), part=float(random.random()))


def install(fault: Fault | None) -> None:
    """Prepare this process to die of a fault, to lose its connection, or to have a bug."""
    if fault is None:
        return
    if fault["point"] in {"anywhere", "restart"}:
        # An alarm that nobody handles ends the process between any two instructions.
        longest = 0.4 if fault["point"] == "anywhere" else 0.15
        signal.setitimer(signal.ITIMER_REAL, 0.001 + longest * fault["part"])
    else:
        _INSTALL[fault["point"]](fault)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _countdown(number: int) -> Callable[[], bool]:
    left = number

    def is_now() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    return is_now


def _in_checkpoint(fault: Fault) -> None:
    """Before the n-th operation on files; or, where files are written, in the middle of it."""
    is_now = _countdown(2 * fault["number"])
    for name in CHECKPOINT_OPERATIONS:
        original = getattr(checkpoint, name)

        def dying(*arguments: Any, _original: Any = original, _name: str = name) -> Any:
            if is_now():
                if _name == "save_file":
                    _original(*arguments)
                    os.truncate(arguments[1], int(fault["part"] * arguments[1].stat().st_size))
                _die()
            return _original(*arguments)

        setattr(checkpoint, name, dying)


def _in_archive(fault: Fault) -> None:
    """Before the n-th segment is written, in the middle of it, after it, or before the trimming that follows."""
    is_now, write, trim = _countdown(1 + fault["number"] // 3), DirectoryPlace.write, LogReader.trim_before
    step = int(4 * fault["part"])

    def dying(place: DirectoryPlace, name: str, content: bytes) -> None:
        struck = is_now() if step < 3 else False
        if struck and step == 1:
            (Path(place.name) / f".{name}.torn.part").write_bytes(content[: len(content) // 2])
        if struck and step < 2:
            _die()
        write(place, name, content)
        if struck:
            _die()

    def trimming(reader: LogReader, position: str) -> int:
        if step == 3 and is_now():
            _die()
        return trim(reader, position)

    setattr(DirectoryPlace, "write", dying)  # noqa: B010  # mypy holds a method to be final
    setattr(LogReader, "trim_before", trimming)  # noqa: B010  # mypy holds a method to be final


def _in_publication(fault: Fault) -> None:
    """Before the n-th publication, with a part of it sent, with all of it sent, or with it answered."""
    is_now, run = _countdown(fault["number"]), Transaction.run

    def dying(transaction: Transaction) -> list[Any]:
        if _publishes(transaction) and is_now():
            _send_a_part(transaction, fault["part"])
        return run(transaction)

    setattr(Transaction, "run", dying)  # noqa: B010  # mypy holds a method to be final


def _publishes(transaction: Transaction) -> bool:
    """Whether it is a publication, and not a heartbeat or a report."""
    return any(b"PUBLISH" in part for part in transaction._packed)


def _send_a_part(transaction: Transaction, part: float) -> None:
    connection = transaction._connection
    begin, end = connection.pack_command("MULTI"), connection.pack_command("EXEC")
    content = b"".join([*begin, *transaction._packed, *end])
    connection.send_packed_command([content[: int(len(content) * min(1.0, 1.5 * part))]])
    _die()


def _lose_connection(fault: Fault) -> None:
    """The connection is gone when the n-th publication is to be sent."""
    is_now, run = _countdown(fault["number"]), Transaction.run

    def failing(transaction: Transaction) -> list[Any]:
        if _publishes(transaction) and is_now():
            transaction._connection._sock.shutdown(socket.SHUT_RDWR)
        return run(transaction)

    setattr(Transaction, "run", failing)  # noqa: B010  # mypy holds a method to be final


def _in_swap(fault: Fault) -> None:
    """When the n-th version has taken the place of the one before; or in the publication of that version."""
    is_now, advance, run = _countdown(1 + fault["number"] // 5), Versions.advance, Transaction.run
    struck = False

    def dying(versions: Versions, *arguments: Any) -> AdvanceOutcome:
        nonlocal struck
        before = versions.served
        outcome = advance(versions, *arguments)
        if versions.served is not before and is_now():
            if fault["part"] < 0.5:
                _die()
            struck = True
        return outcome

    def publishing(transaction: Transaction) -> list[Any]:
        if struck and _publishes(transaction):
            _send_a_part(transaction, 2 * fault["part"] - 1)
        return run(transaction)

    setattr(Versions, "advance", dying)  # noqa: B010  # mypy holds a method to be final
    setattr(Transaction, "run", publishing)  # noqa: B010  # mypy holds a method to be final


def _bug(_fault: Fault) -> None:
    """Applying a batch that names the node ``boom`` fails midway."""
    apply = DynamicGraph.apply

    def failing(graph: DynamicGraph, events: Sequence[Event], time: float) -> Changes:
        if _names_boom(events):
            apply(graph, events[: len(events) // 2], time)
            raise RuntimeError("a bug")
        return apply(graph, events, time)

    setattr(DynamicGraph, "apply", failing)  # noqa: B010  # mypy holds a method to be final


def _names_boom(events: Sequence[Event]) -> bool:
    return any(getattr(event, "id", None) == "boom" for event in events)


def _killer(_fault: Fault) -> None:
    """Applying a batch that names the node ``boom`` kills the worker, as the system does for memory."""
    apply = DynamicGraph.apply

    def dying(graph: DynamicGraph, events: Sequence[Event], time: float) -> Changes:
        if _names_boom(events):
            apply(graph, events[: len(events) // 2], time)
            _die()
        return apply(graph, events, time)

    setattr(DynamicGraph, "apply", dying)  # noqa: B010  # mypy holds a method to be final


def _killer_when_published(_fault: Fault) -> None:
    """Publishing what such a batch has changed kills the worker."""
    apply, publish = DynamicGraph.apply, PredictionWriter.publish
    applied = False

    def applying(graph: DynamicGraph, events: Sequence[Event], time: float) -> Changes:
        nonlocal applied
        applied = applied or _names_boom(events)
        return apply(graph, events, time)

    def dying(writer: PredictionWriter, publication: Publication) -> None:
        if applied:
            _die()
        publish(writer, publication)

    setattr(DynamicGraph, "apply", applying)  # noqa: B010  # mypy holds a method to be final
    setattr(PredictionWriter, "publish", dying)  # noqa: B010  # mypy holds a method to be final


_INSTALL = {
    "archive": _in_archive,
    "checkpoint": _in_checkpoint,
    "publication": _in_publication,
    "swap": _in_swap,
    "bug": _bug,
    "connection": _lose_connection,
    "killer": _killer,
    "killer when published": _killer_when_published,
}
