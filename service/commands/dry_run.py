"""What a source would send, without sending it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import typer
from rich.console import Console

from service.replay.sources import Source
from service.terminal import shown

EVENTS_SHOWN = 10


def print_dry_run(console: Console, source: Source, *, as_json: bool) -> None:
    """Show the first events of a source and the schema that would be declared."""
    batches = (event for batch in source.batches for event in batch.events)
    events: list[Any] = [msgspec.to_builtins(event) for event in itertools.islice(batches, EVENTS_SHOWN)]
    found = source.schema or source.proposal
    schema = None if found is None else found.model_dump(mode="json", exclude_defaults=True)
    if as_json:
        typer.echo(json.dumps({"events": events, "schema": schema, "notes": list(source.notes)}))
        return
    for event in events:
        console.print(shown(json.dumps(event, ensure_ascii=False)), soft_wrap=True)
    print_notes(console, source)
    if schema is None:
        console.print("schema: none, as events are sent as they are")
    else:
        how = "declared" if source.schema is not None else "declared with --declare"
        console.print(f"schema ({how}): {shown(json.dumps(schema, ensure_ascii=False))}", soft_wrap=True)


def print_notes(console: Console, source: Source) -> None:
    """Show what was found in a source."""
    for note in source.notes:
        console.print(f"{shown(source.name)}: {shown(note)}", soft_wrap=True)
