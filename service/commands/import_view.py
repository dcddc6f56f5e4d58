"""What an import looks like while it runs."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console

from service.commands.sources import bytes_bar
from service.replay.loader import LoadState
from service.replay.meter import Meter

_LINE_EVERY_EVENTS = 100_000


class ImportView:
    """A progress bar over the bytes of the file; plain lines where there is no terminal.

    Args:
        console: where it is shown.
        name: of the source.
        meter: how much of the file has been read; None where that is not known.
    """

    def __init__(self, console: Console, name: str, meter: Meter | None) -> None:
        self._console, self._name, self._meter = console, name, meter
        self._bar = bytes_bar(console) if console.is_terminal else None
        self._task = None if self._bar is None else self._bar.add_task(name, total=None, now="")
        self._next_line = _LINE_EVERY_EVENTS

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, state: LoadState) -> None:
        """Show where the import is."""
        read, size = (None, None) if self._meter is None else (self._meter.read, self._meter.size)
        now = f"{state.events:,} events, {state.events_per_s:,.0f}/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=read, total=size, now=now)
        elif state.events >= self._next_line:
            self._next_line = state.events + _LINE_EVERY_EVENTS
            share = "" if not size or read is None else f"{100 * read / size:.0f} % read, "
            self._console.print(f"{self._name}: {share}{now}", soft_wrap=True)
