"""Options that more than one command has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.replay.label_delay import Duration, parse_delay
from service.settings import Settings

Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of the API; 0 takes a free one.", show_default="8000"),
]
ApiProcesses = Annotated[
    int | None, typer.Option(min=1, help="API processes that share the port.", show_default="OLAD_API_PROCESSES, 1")
]
Partitions = Annotated[
    int | None,
    typer.Option(
        min=1, help="Ranks that the graph is spread over, on this machine.", show_default="OLAD_PARTITIONS, 1"
    ),
]
StudentRanks = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes that the students are spread over, on this machine.",
        show_default="OLAD_STUDENT_RANKS, 1",
    ),
]
Weights = Annotated[
    Literal["trained", "fixed"] | None,
    typer.Option(help="Train, or serve the newest checkpoint's version for ever.", show_default="trained"),
]
RedisUrl = Annotated[str | None, typer.Option(help="Use this Redis instead of starting one.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Where the worker computes.", show_default="auto")
]
Url = Annotated[str | None, typer.Option(help="The service.", show_default="host and port of the settings")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def _delay(text: str) -> int | Duration:
    try:
        return parse_delay(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


LabelDelay = Annotated[
    int | None,
    typer.Option(
        parser=_delay,
        metavar="ARRIVALS|TIME",
        help="From a node or an edge to its label: arrivals, or event time such as 14d.",
        show_default="the source's own",
    ),
]
"""An ``int`` of arrivals, or a :class:`~service.replay.label_delay.Duration`."""
BatchBytes = Annotated[int, typer.Option(min=1000, max=16 * 2**20, help="Bytes of JSON in one POST, at most.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of going on where it stopped.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the first ten events and the schema; send nothing.")]
Declare = Annotated[bool, typer.Option("--declare", help="Declare the schema that --dry-run shows, before all else.")]
MinPosition = Annotated[
    str | None, typer.Option(metavar="POSITION", help="Wait until predictions show this position of the log.")
]
DataDir = Annotated[
    Path | None, typer.Option(help="Data directory of the service, for its graph.", show_default="olad-data")
]


def require_partitions_for_fixed_weights(settings: Settings) -> None:
    """See that a worker without partitions trains.

    Raises:
        typer.BadParameter: its weights are to be fixed.
    """
    if settings.partitions == 1 and settings.weights == "fixed":
        raise typer.BadParameter("a worker without partitions trains: leave --weights fixed out, or add --partitions 2")


def service_url(given: str | None, settings: Settings) -> str:
    """Address of the service: that of ``--url``, else host and port of the settings."""
    return given or f"http://{settings.host}:{settings.port}"
