"""``olad versions``: the last versions, a model card of each, and which one is served."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from service.commands.calling import service_client
from service.commands.options import AsJson, Url
from service.figures import percent
from service.model_card import markdown
from service.models import VersionChangeAccepted
from service.redaction import printable
from service.store.status import KeptVersion, VersionsStatus
from service.terminal import Terminal, shown_report

versions = typer.Typer(
    name="versions",
    help="Show the last versions, and which one is served (docs/versions.md).",
    invoke_without_command=True,
)
Number = Annotated[int, typer.Argument(min=1, help="Number of the version.")]


@versions.callback()
def list_versions(context: typer.Context, url: Url = None, as_json: AsJson = False) -> None:
    """Show the last versions, newest first."""
    if context.invoked_subcommand is not None:
        return
    with service_client(url) as client:
        found = client.versions()
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json")))
        return
    Terminal().print(_table(shown_report(found)))


@versions.command()
def show(number: Number, url: Url = None, as_json: AsJson = False) -> None:
    """Show the model card of a version, as Markdown or JSON."""
    with service_client(url) as client:
        card = client.model_card(number)
    text = json.dumps(card.model_dump(mode="json")) if as_json else printable(markdown(card), keep="\n")
    typer.echo(text.rstrip("\n"))


@versions.command()
def pin(number: Number, url: Url = None) -> None:
    """Serve this version whatever is learned, until it is unpinned."""
    with service_client(url) as client:
        _print(client.pin(number))


@versions.command()
def unpin(url: Url = None) -> None:
    """Serve the best student or the group again."""
    with service_client(url) as client:
        _print(client.unpin())


@versions.command()
def rollback(url: Url = None) -> None:
    """Serve the version before the last switch of student, until it is unpinned."""
    with service_client(url) as client:
        _print(client.roll_back())


def _print(done: VersionChangeAccepted) -> None:
    what = "no version is pinned" if done.version is None else f"version {done.version} will be served"
    typer.echo(f"{done.position}: {what}")


def _table(found: VersionsStatus) -> Table:
    table = Table(title="versions, newest first", title_justify="left")
    for column in ("version", "student", "why", "served from", "until"):
        table.add_column(column)
    for column in ("steps", "scored", "accuracy", "macro-F1", "parameters"):
        table.add_column(column, justify="right")
    for kept in found.versions:
        table.add_row(*_row(kept, found))
    return table


def _row(kept: KeptVersion, found: VersionsStatus) -> tuple[str, ...]:
    marks = ["served"] * (kept.version == found.served)
    if kept.version == found.pinned:
        marks.append("rolled back to" if found.rolled_back else "pinned")
    number = f"{kept.version} ({', '.join(marks)})" if marks else str(kept.version)
    return (
        number,
        kept.student,
        kept.reason,
        kept.served_from,
        kept.served_until or "now",
        f"{kept.step:,}",
        f"{kept.score.scored:,}",
        percent(kept.score.accuracy),
        percent(kept.score.macro_f1),
        f"{kept.parameters:,}",
    )
