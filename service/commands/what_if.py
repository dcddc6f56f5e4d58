"""``olad what-if``: predictions as they would be after events that are not sent."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from service.client.http import Client
from service.commands.failures import read_settings, reported_failures
from service.commands.options import AsJson, MinPosition, Url, service_url
from service.commands.send import read_events
from service.figures import percent
from service.models import WhatIfAnswer
from service.terminal import Terminal, shown

_CLASSES_SHOWN = 3


def what_if(
    events: Annotated[str, typer.Argument(help="A file of JSON or NDJSON, or - for standard input.")],
    nodes: Annotated[str, typer.Option(help="Ids of the nodes to predict, with commas between them.")],
    url: Url = None,
    min_position: MinPosition = None,
    as_json: AsJson = False,
) -> None:
    """Show what nodes would be predicted after events, which are not applied. Status 1 where one would be rejected."""
    settings = read_settings()
    with reported_failures():
        body = _array(read_events(events))
        asked = [node for node in nodes.split(",") if node]
        with Client(service_url(url, settings), key=settings.api_key, patience_s=10) as client:
            answer = client.what_if(body, asked, min_position=min_position)
    if as_json:
        typer.echo(answer.model_dump_json(exclude_none=True))
    else:
        _print(answer)
    raise typer.Exit(1 if answer.rejected else 0)


def _array(text: bytes) -> bytes:
    """The events as a JSON array, which they may be already."""
    if text.lstrip().startswith(b"["):
        return text.strip()
    return b"[" + b",".join(line for line in text.splitlines() if line.strip()) + b"]"


def _print(answer: WhatIfAnswer) -> None:
    table = Table("node", "label", "likeliest classes", "disagreement")
    for each in answer.predictions:
        classes = sorted((each.probabilities or {}).items(), key=lambda pair: -pair[1])[:_CLASSES_SHOWN]
        table.add_row(
            shown(str(each.node)),
            shown(each.label or "not in the graph"),
            shown(", ".join(f"{name} {percent(share)}" for name, share in classes)),
            "" if each.disagreement is None else f"{each.disagreement:.3f}",
        )
    terminal = Terminal()
    terminal.print(table)
    made_by = f"version {answer.model_version} of {shown(answer.student)}"
    terminal.print(f"{made_by} at {answer.position}, {answer.behind:,} behind", highlight=False)
    for one in answer.rejected:
        line = f"[bold red]error:[/] event {one.index} would be rejected: {shown(one.detail)}"
        Terminal(stderr=True).print(line, soft_wrap=True, highlight=False)
