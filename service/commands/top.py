"""``olad top``: the nodes most likely to be of a class."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from service.commands.calling import service_client
from service.commands.options import AsJson, Url
from service.figures import percent
from service.terminal import Terminal, shown


def top(
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="Name of the class.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Nodes in the list at most.")] = 20,
    labelled: Annotated[bool, typer.Option("--labelled", help="List nodes whose label is known, too.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List the nodes most likely to be of a class, the likeliest first."""
    with service_client(url) as client:
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
