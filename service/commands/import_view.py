"""What an import looks like while it runs."""

from __future__ import annotations

from rich.console import Console

from service.commands.bar_view import BarView, bytes_bar
from service.replay.loader import LoadState
from service.replay.meter import Meter

_LINE_EVERY_EVENTS = 100_000


class ImportView(BarView):
    """A progress bar over the bytes of the file; plain lines where there is no terminal.

    Args:
        console: where it is shown.
        name: of the source.
        meter: how much of the file has been read; None where that is not known.
    """

    def __init__(self, console: Console, name: str, meter: Meter | None) -> None:
        self._console, self._name, self._meter = console, name, meter
        super().__init__(bytes_bar(console) if console.is_terminal else None, name, None)
        self._next_line = _LINE_EVERY_EVENTS

    def update(self, state: LoadState) -> None:
        """Show where the import is."""
        read, size = (None, None) if self._meter is None else (self._meter.read, self._meter.size)
        now = f"{state.events:,} events, {state.events_per_s:,.0f}/s"
        if not self._moved(now, read, size) and state.events >= self._next_line:
            self._next_line = state.events + _LINE_EVERY_EVENTS
            share = "" if not size or read is None else f"{100 * read / size:.0f} % read, "
            self._console.print(f"{self._name}: {share}{now}", soft_wrap=True)
