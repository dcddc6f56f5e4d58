"""``olad import``: a file into the log, as fast as the service takes it."""

from __future__ import annotations

import contextlib
import json
from typing import Annotated

import typer

from olad_core.events import MAX_EVENTS
from service.client.http import Client
from service.commands.dry_run import print_dry_run, print_notes
from service.commands.failures import read_settings, reported_failures
from service.commands.import_view import ImportView
from service.commands.options import AsJson, BatchBytes, Declare, DryRun, Fresh, LabelDelay, Url, service_url
from service.commands.sources import open_for, open_record
from service.commands.table_options import takes_table_options
from service.replay.arrival_stream import BATCH_BYTES
from service.replay.loader import load
from service.replay.sources import StreamOptions
from service.replay.table_options import TableOptions
from service.terminal import Terminal, shown

_PATIENCE_S = 900.0
"""How long one batch is tried again: a service that applies more slowly than it is sent answers 429 meanwhile."""


@takes_table_options
def import_source(
    tables: TableOptions,
    source: Annotated[
        str,
        typer.Argument(help="CSV, Parquet, JSON, GraphML, an .npz or .pt (docs/files.md), or - for standard input."),
    ],
    url: Url = None,
    label_delay: LabelDelay = None,
    batch_bytes: BatchBytes = BATCH_BYTES,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    declare: Declare = False,
    as_json: AsJson = False,
) -> None:
    """Send a whole file to a running service as fast as it takes it, in constant memory; resumes."""
    settings = read_settings()
    console = Terminal(stderr=as_json)
    options = StreamOptions(label_delay, MAX_EVENTS, batch_bytes, batch_events=MAX_EVENTS, scored=False)
    with reported_failures():
        opened = open_for(console, source, options, tables, settings, declare=declare)
        if dry_run:
            print_dry_run(console, opened, as_json=as_json)
            return
        print_notes(console, opened)
        url = service_url(url, settings)
        with contextlib.ExitStack() as files:
            with Client(url, key=settings.api_key) as client:
                progress = open_record(files, console, opened, client, settings, fresh=fresh)
            client = files.enter_context(Client(url, key=settings.api_key, patience_s=_PATIENCE_S))
            view = files.enter_context(ImportView(console, shown(opened.name), opened.meter))
            try:
                state = load(opened, client, progress, on_batch=view.update)
            except KeyboardInterrupt:
                files.close()
                console.print("Stopped; the same command goes on from here.")
                raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(state.as_dict()))
        return
    if state.events == 0 and state.resumed:
        console.print("All of it had been sent before; --fresh sends it again.")
    console.print(
        f"{shown(opened.name)}: {state.events:,} events in {state.seconds:.1f} s ({state.events_per_s:,.0f} events/s); "
        f"position {state.position or '-'}",
        soft_wrap=True,
    )
