"""Progress bars on a terminal: what every view of a running command shares."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_NAME, _NOW = "{task.description}", "{task.fields[now]}"


def bytes_bar(console: Console) -> Progress:
    """A bar that counts bytes of a file."""
    columns = (TextColumn(_NAME), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TextColumn(_NOW), TimeRemainingColumn(), console=console)


def arrivals_bar(console: Console) -> Progress:
    """A bar that counts nodes that have arrived."""
    columns = (TextColumn(_NAME), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TextColumn(_NOW), TimeRemainingColumn(), console=console)


class BarView:
    """A bar with one task, in a ``with`` block; where there is no terminal, it has none.

    Args:
        bar: how it looks; None where there is no terminal.
        name: what is shown before it.
        total: of what it counts; None where that is not known.
    """

    def __init__(self, bar: Progress | None, name: str, total: int | None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task(name, total=total, now="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _moved(self, now: str, completed: int | None, total: int | None = None) -> bool:
        """Move the bar, ``total`` staying where it is None; False where there is none."""
        if self._bar is None or self._task is None:
            return False
        self._bar.update(self._task, completed=completed, total=total, now=now)
        return True


class ExportView(BarView):
    """A bar that counts rows that were written."""

    def __init__(self, console: Console, name: str, total: int | None) -> None:
        super().__init__(arrivals_bar(console) if console.is_terminal else None, name, total)

    def update(self, rows: int) -> None:
        """Show how many there are."""
        self._moved("", rows)
