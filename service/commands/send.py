"""``olad send``: a batch of events as it is written."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.client.http import Client
from service.commands.failures import read_settings, reported_failures
from service.commands.options import AsJson, Url, service_url
from service.models import MAX_BODY_BYTES
from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import unwrapping
from service.replay.file_kinds import kind_of_text
from service.replay.sources import SourceNotFound


def send(
    events: Annotated[str, typer.Argument(help="A file of JSON or NDJSON, or - for standard input.")],
    url: Url = None,
    key: Annotated[
        str | None,
        typer.Option(help="Idempotency-Key: the same key again appends nothing.", show_default="a random one"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send events as one batch, whole or not at all; print its position."""
    settings = read_settings()
    with reported_failures():
        body = read_events(events)
        media_type = "application/json" if body.lstrip().startswith(b"[") else "application/x-ndjson"
        with Client(service_url(url, settings), key=settings.api_key) as client:
            accepted = client.send(body, media_type, key=key)
    typer.echo(accepted.model_dump_json() if as_json else accepted.position)


def read_events(source: str) -> bytes:
    """The events as they are written, without compression.

    Raises:
        SourceNotFound: there is no such file.
        UnreadableDataset: they are too large for one batch, or something else than JSON.
    """
    name = "standard input" if source == "-" else source
    if source != "-" and not Path(source).exists():
        raise SourceNotFound(f"{source}: no such file; - reads standard input")
    with contextlib.ExitStack() as files:
        stream = sys.stdin.buffer if source == "-" else files.enter_context(Path(source).open("rb"))
        _, text = files.enter_context(unwrapping(stream, name))
        body = text.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise UnreadableDataset(f"{name} is larger than one batch, {MAX_BODY_BYTES:,} bytes: olad import sends it")
        if not body.strip():
            raise UnreadableDataset(f"{name} is empty: write one event a line, or a JSON array of events")
        if kind_of_text(body[:4096]) != "json":
            raise UnreadableDataset(f"{name} holds no events in JSON: olad import reads tables")
        return body
