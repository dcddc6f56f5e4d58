"""``olad predict``: predictions of nodes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from service.client.errors import ServiceError
from service.commands.calling import service_client
from service.commands.options import AsJson, MinPosition, Url
from service.figures import percent
from service.models import MAX_NODES, PredictionAnswer
from service.terminal import Terminal, shown

_CLASSES_SHOWN = 3


def predict(
    nodes: Annotated[list[str], typer.Argument(help="Ids of nodes.")],
    url: Url = None,
    min_position: MinPosition = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, help="So many of the likeliest classes.", show_default=f"{_CLASSES_SHOWN}; all with --json"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the class, the likeliest classes and the position of each node. Status 1 where one is not in the graph."""
    with service_client(url) as client:
        if len(nodes) > MAX_NODES:
            raise ServiceError(f"{len(nodes):,} nodes, {MAX_NODES:,} at most: olad export writes those of a file")
        wanted = top if as_json else top or _CLASSES_SHOWN
        answers = client.predict(nodes, min_position=min_position, top=wanted)
    if as_json:
        found = [answer.model_dump(mode="json", exclude_none=True) for answer in answers]
        typer.echo(json.dumps({"predictions": found}))
    else:
        _print_table([answer for answer in answers if answer.error is None])
    unknown = [answer for answer in answers if answer.error is not None]
    for answer in unknown:
        line = f"[bold red]error:[/] {shown(repr(str(answer.node)))} is not in the graph at {answer.position}"
        Terminal(stderr=True).print(line, soft_wrap=True, highlight=False)
    raise typer.Exit(1 if unknown else 0)


def _print_table(answers: Sequence[PredictionAnswer]) -> None:
    if not answers:
        return
    table = Table("node", "label", "likeliest classes", "disagreement", "version")
    table.add_column("position", min_width=max(len(answer.position) for answer in answers))
    table.add_column("behind")
    for answer in answers:
        classes = sorted((answer.probabilities or {}).items(), key=lambda pair: -pair[1])
        table.add_row(
            shown(str(answer.node)),
            shown(answer.label or ""),
            shown(", ".join(f"{name} {percent(share)}" for name, share in classes)),
            f"{answer.disagreement or 0:.3f}",
            f"{answer.model_version}, {shown(answer.student)}",
            answer.position,
            f"{answer.behind:,}",
        )
    Terminal().print(table)
