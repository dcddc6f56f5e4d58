"""``olad stream``: changes of labels, and decisions, as lines of JSON."""

from __future__ import annotations

import contextlib
import itertools
from typing import Annotated

import typer

from service.commands.calling import service_client
from service.commands.options import Url


def stream(
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue after a change's id or a position.", show_default="now")
    ] = None,
    change_type: Annotated[
        list[str] | None, typer.Option("--type", help="Only this type, such as label-changed; may be repeated.")
    ] = None,
    node: Annotated[list[str] | None, typer.Option(help="Only labels of this node; may be repeated.")] = None,
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="Only labels of this class, before or after; may be repeated.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only decisions of this kind; may be repeated.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="End after so many changes.", show_default="until Ctrl-C")
    ] = None,
    url: Url = None,
) -> None:
    """Print changes of labels, and decisions, as they become visible: one CloudEvent in JSON a line."""
    with (
        service_client(url, patience_s=60) as client,
        contextlib.closing(
            client.stream(
                after=after, types=change_type or (), nodes=node or (), classes=class_name or (), kinds=kind or ()
            )
        ) as changes,
    ):
        for change in itertools.islice(changes, limit):
            typer.echo(change.model_dump_json())
