"""``olad variants``: the workers on the graph, and which of them is the champion."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from service.commands.calling import service_client
from service.commands.options import AsJson, Url
from service.figures import percent
from service.models import VariantComparison, VariantList, VariantStatus
from service.terminal import Terminal, shown_report

variants = typer.Typer(
    name="variants",
    help="Show the variants, and which one answers (docs/variants.md).",
    invoke_without_command=True,
)
Name = Annotated[str, typer.Argument(help="Name of the variant.")]


@variants.callback()
def list_variants(context: typer.Context, url: Url = None, as_json: AsJson = False) -> None:
    """Show the variants, the default one first."""
    if context.invoked_subcommand is not None:
        return
    with service_client(url) as client:
        found = client.variants()
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json")))
        return
    terminal, shown = Terminal(), shown_report(found)
    terminal.print(_table(shown))
    for each in shown.variants:
        if each.comparison is not None:
            terminal.print(_against(each.name, each.comparison, shown.champion))


@variants.command()
def promote(
    name: Name,
    url: Url = None,
    timeout_ms: Annotated[
        int, typer.Option(min=0, max=60_000, help="How long it may take to show what readers have seen.")
    ] = 5_000,
) -> None:
    """Make a variant the champion, in one step for all readers; `default` goes back."""
    with service_client(url) as client:
        done = client.promote(name, timeout_ms=timeout_ms)
    if done.log_position is None:
        typer.echo(f"{done.champion} is the champion already")
    else:
        typer.echo(f"{done.position}: {done.champion} is the champion, {done.before} was")


@variants.command()
def remove(name: Name, url: Url = None) -> None:
    """Delete all that Redis has of a variant whose worker has ended; its checkpoints stay."""
    with service_client(url) as client:
        done = client.remove_variant(name)
    typer.echo(f"{done.removed} is removed; its checkpoints stay in the data directory of its worker")


def _table(found: VariantList) -> Table:
    table = Table(title="variants", title_justify="left")
    for column in ("variant", "worker", "shows position", "student"):
        table.add_column(column)
    for column in ("behind", "version", "scored", "accuracy", "macro-F1", "memory"):
        table.add_column(column, justify="right")
    for each in found.variants:
        table.add_row(*_row(each, found.champion))
    return table


def _row(each: VariantStatus, champion: str) -> tuple[str, ...]:
    score = each.score
    return (
        f"{each.name} (champion)" if each.name == champion else each.name,
        "there" if each.alive else "away",
        each.position or "-",
        each.student or "-",
        f"{each.behind_events:,}",
        "-" if each.version is None else str(each.version),
        "-" if score is None else f"{score.scored:,}",
        "-" if score is None else percent(score.accuracy),
        "-" if score is None else percent(score.macro_f1),
        "-" if each.memory_used is None else f"{each.memory_used / 1e6:,.0f} MB",
    )


def _against(name: str, found: VariantComparison, champion: str) -> str:
    """The difference from the champion on the metric that decides, with its interval and what it shows."""
    scale, digits, unit = (1, 3, "") if found.metric == "log_loss" else (100, 1, " points")
    about = f"{name} less {champion}, {found.metric}"
    if found.difference is None:
        return f"{about}: not known"
    value, low, high = (
        None if end is None else f"{scale * end:+.{digits}f}"
        for end in (found.difference.value, found.difference.low, found.difference.high)
    )
    interval = f" [{low}, {high}]" if low is not None else ", no interval yet"
    return f"{about}: {value}{unit}{interval} on {found.whole.pairs:,} nodes: {found.outcome}"
