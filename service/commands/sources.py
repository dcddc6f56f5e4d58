"""Opening a source for a command, with a progress bar while it is read through, and its record of what was sent."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from service.client.http import Client
from service.commands.bar_view import bytes_bar
from service.replay.meter import Meter
from service.replay.progress import Progress
from service.replay.sender import forget_if_lost
from service.replay.sources import Source, StreamOptions, open_source
from service.replay.table_options import TableOptions
from service.settings import Settings
from service.terminal import shown


def open_for(
    console: Console,
    source: str,
    options: StreamOptions,
    tables: TableOptions,
    settings: Settings,
    *,
    declare: bool = False,
) -> Source:
    """Open a source; a table is read through first, with a progress bar on a terminal.

    Args:
        console: where the bar is.
        source: as the user names it.
        options: how it becomes a stream.
        tables: what the columns of a table are.
        settings: with the folder of named datasets.
        declare: whether to declare what was found in it.
    """
    with contextlib.ExitStack() as shown_for:
        bar = shown_for.enter_context(bytes_bar(console)) if console.is_terminal else None
        task = bar.add_task(f"reading {shown(source)}", total=None, now="", visible=False) if bar is not None else None

        def on_read(meter: Meter) -> None:
            if bar is not None and task is not None:
                bar.update(task, completed=meter.read, total=meter.size, visible=True)

        opened = open_source(source, options, tables=tables, data_home=settings.data_home, on_read=on_read)
    return replace(opened, schema=opened.proposal) if declare and opened.proposal is not None else opened


def with_declared_types(source: Source) -> Source:
    """The source with what was found in it as its schema where it has types, for a graph of its own."""
    found = source.proposal
    typed = source.schema is None and found is not None and (found.node_types or found.edge_types)
    return replace(source, schema=found) if typed else source


def open_record(
    files: contextlib.ExitStack, console: Console, source: Source, client: Client, settings: Settings, *, fresh: bool
) -> Progress:
    """The record of what was sent of a source to the log at the client's address, and what of it is lost there."""
    log = client.status().log_id or client.url
    if source.identity is None:  # Standard input cannot be read again, so there is nothing to go on from.
        folder = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="olad-replay-")))
    else:
        folder = settings.data_dir / "replay"
    replay, sent_to = f"{log} {source.identity}", f"{client.url} {source.identity}"
    progress = files.enter_context(Progress(folder, replay, sent_to=sent_to, fresh=fresh))
    if not progress.done and not fresh and progress.sent_to_another_log():
        notice = f"{client.url} has another log than the one this was sent to before: sending all of it."
        console.print(notice, soft_wrap=True)
    if lost := forget_if_lost(client, progress):
        console.print(f"The log ends before the last {lost:,} batches that were sent to it: sending them again.")
    return progress
