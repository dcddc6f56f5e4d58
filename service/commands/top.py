"""``olad top``: the nodes, or the edges of a type, most likely to be of a class."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from service.commands.calling import service_client
from service.commands.options import AsJson, Url
from service.figures import percent
from service.models import EdgeList
from service.terminal import Terminal, shown


def top(
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="Name of the class.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows of the list at most.")] = 20,
    labelled: Annotated[bool, typer.Option("--labelled", help="List nodes whose label is known, too.")] = False,
    edges: Annotated[
        str | None, typer.Option(metavar="TYPE", help="List edges of this type without a label, instead of nodes.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the nodes, or the edges of a type, most likely to be of a class, the likeliest first."""
    with service_client(url) as client:
        if edges is not None:
            if labelled:
                raise typer.BadParameter("is of nodes: edges are listed without a label", param_hint="--labelled")
            _show_edges(class_name, client.top_edges(class_name, edge_type=edges, limit=limit), as_json=as_json)
            return
        found = client.top(class_name, limit=limit, labelled=labelled)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    table = Table(title=f"likeliest to be {shown(class_name)}", title_justify="left")
    table.add_column("node")
    for column in ("probability", "disagreement"):
        table.add_column(column, justify="right")
    table.add_column("label")
    for row in found.nodes:
        table.add_row(shown(row.node), percent(row.probability), percent(row.disagreement), shown(row.label))
    console = Terminal()
    console.print(table)
    waiting = f"; {found.marked:,} nodes have changed and wait to be computed" if found.marked else ""
    console.print(
        f"exact at position {found.position}, {found.behind:,} events behind the log{waiting}",
        soft_wrap=True,
        highlight=False,
    )


def _show_edges(class_name: str, found: EdgeList, *, as_json: bool) -> None:
    if as_json:
        typer.echo(found.model_dump_json(exclude_unset=True))
        return
    table = Table(title=f"likeliest to be {shown(class_name)}", title_justify="left")
    for column in ("edge", "from", "to"):
        table.add_column(column)
    table.add_column("probability", justify="right")
    for edge in found.edges:
        table.add_row(shown(edge.id or ""), shown(edge.src), shown(edge.dst), percent(edge.probability))
    console = Terminal()
    console.print(table)
    console.print(
        f"of the {found.compared:,} newest of {found.waiting:,} edges without a label; exact at position "
        f"{found.position}, {found.behind:,} events behind the log",
        soft_wrap=True,
        highlight=False,
    )
