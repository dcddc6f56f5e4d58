"""``olad explain-edge``: what the probability of an edge's class becomes without each part of what is known of it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from olad_core.graph_types import RELATION
from service.commands.calling import service_client
from service.commands.explain import shown_change
from service.commands.options import AsJson, MinPosition, Url
from service.models import MAX_EARLIER_LABELS, EarlierLabel, ExplainEdgeAnswer, ShownPart
from service.terminal import Terminal, shown

_PARTS = {
    "features": "its features",
    "weight": "its weight",
    "between": "earlier edges between both ends",
    "edges": "edges of the",
    "labels": "labels of edges of the",
    "joined": "labels where other edges lead from the",
}


def explain_edge(
    src: Annotated[str | None, typer.Argument(help="Id of the node where it begins.")] = None,
    dst: Annotated[str | None, typer.Argument(help="Id of the node where it ends.")] = None,
    edge_id: Annotated[str | None, typer.Option("--id", help="Its id, instead of both ends.")] = None,
    edge_type: Annotated[str, typer.Option("--type", help="Its type.")] = RELATION,
    weight: Annotated[float, typer.Option(help="Of an edge that has not arrived.")] = 1.0,
    url: Url = None,
    min_position: MinPosition = None,
    most: Annotated[
        int, typer.Option("--k", min=1, max=MAX_EARLIER_LABELS, help="So many labels of earlier edges, the largest.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how the probability of an edge's class would change without each part of what is known of it."""
    if edge_id is None and (src is None or dst is None):
        raise typer.BadParameter("name the edge by SRC and DST, or by --id")
    with service_client(url) as client:
        answer = client.explain_edge(
            src, dst, edge_id=edge_id, edge_type=edge_type, weight=weight, most=most, min_position=min_position
        )
    if as_json:
        typer.echo(answer.model_dump_json(exclude_none=True))
    else:
        _print(answer)


def _print(answer: ExplainEdgeAnswer) -> None:
    terminal = Terminal()
    name = answer.id if answer.id is not None else f"{answer.src} to {answer.dst}"
    terminal.print(f"{shown(name)}: {shown(answer.label)} {answer.probability:.4f}", highlight=False)
    table = Table("without", "change")
    for effect in answer.effects:
        table.add_row(_named(effect), shown_change(effect.change))
    table.add_row("all of these", shown_change(answer.total))
    for label in answer.labels:
        table.add_row(shown(_named_label(label)), shown_change(label.change))
    terminal.print(table)
    made_by = f"task {shown(answer.task)} at {answer.position}, {answer.behind:,} behind"
    listed = f"interaction {shown_change(answer.interaction)}, {len(answer.labels)} of {answer.count} labels"
    terminal.print(f"{listed}; {made_by}", highlight=False)


def _named(effect: ShownPart) -> str:
    return f"{_PARTS[effect.kind]} {effect.end}" if effect.end else _PARTS[effect.kind]


def _named_label(label: EarlierLabel) -> str:
    edge = f"edge {label.id}" if label.id is not None else "edge"
    return f"label {label.label} of the {edge} from {label.src} to {label.dst}"
