"""``olad explain``: what the probability of a node's label becomes without each thing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from service.commands.calling import service_client
from service.commands.options import AsJson, MinPosition, Url
from service.models import MAX_EFFECTS, ExplainAnswer, ShownEffect
from service.terminal import Terminal, shown


def explain(
    node: Annotated[str, typer.Argument(help="Id of the node.")],
    url: Url = None,
    min_position: MinPosition = None,
    most: Annotated[int, typer.Option("--k", min=1, max=MAX_EFFECTS, help="So many effects, the largest.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how the probability of a node's label would change without each edge, label and set of features."""
    with service_client(url) as client:
        answer = client.explain(node, most=most, min_position=min_position)
    if as_json:
        typer.echo(answer.model_dump_json(exclude_none=True))
    else:
        _print(answer)


def _print(answer: ExplainAnswer) -> None:
    terminal = Terminal()
    terminal.print(f"{shown(answer.node)}: {shown(answer.label)} {answer.probability:.4f}", highlight=False)
    table = Table("without", "change")
    for effect in answer.effects:
        table.add_row(shown(_named(effect)), shown_change(effect.change))
    table.add_row("all edges, own label and features", shown_change(answer.total))
    terminal.print(table)
    made_by = (
        f"version {answer.model_version} of {shown(answer.student)} at {answer.position}, {answer.behind:,} behind"
    )
    listed = f"{len(answer.effects)} of {answer.count} effects, interaction {shown_change(answer.interaction)}"
    terminal.print(f"{listed}; {made_by}", highlight=False)


def shown_change(value: float) -> str:
    """A change with its sign; without one where it rounds to nothing.

    >>> shown_change(-0.00001), shown_change(0.25), shown_change(-0.5)
    ('0.0000', '+0.2500', '-0.5000')
    """
    return f"{value:+.4f}" if abs(value) >= 0.00005 else "0.0000"


def _named(effect: ShownEffect) -> str:
    if effect.kind == "edge":
        return f"edge from {effect.node}" + (f" ({effect.type})" if effect.type else "")
    if effect.kind == "label":
        return f"label {effect.label} of {effect.node}"
    return f"features of {effect.node}"
