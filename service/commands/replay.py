"""``olad replay``: a dataset as a stream of POSTs."""

from __future__ import annotations

import contextlib
import difflib
import json
from typing import Annotated, Literal

import typer
from rich.console import Console

from olad_core.events import MAX_EVENTS
from olad_core.judging.metric import parse_metric
from service.client.http import Client
from service.commands.dry_run import print_dry_run, print_notes
from service.commands.failures import read_settings, reported_failures
from service.commands.options import AsJson, BatchBytes, Declare, DryRun, Fresh, LabelDelay, Url, service_url
from service.commands.replay_view import ReplayView, print_summary
from service.commands.sources import open_for, open_record
from service.commands.table_options import takes_table_options
from service.commands.task_view import print_values, values_for_machines
from service.replay.arrival_stream import BATCH_BYTES, UnreadableDataset
from service.replay.pace import STEPS_PER_ENTRY
from service.replay.registry import DATASETS
from service.replay.sender import ReplayState, replay
from service.replay.sources import Source, StreamOptions
from service.replay.table_options import TableOptions
from service.terminal import Terminal, shown

_NAMES = ", ".join(DATASETS)


@takes_table_options
def replay_source(
    tables: TableOptions,
    source: Annotated[
        str,
        typer.Argument(help=f"CSV, Parquet, JSON, GraphML, an .npz or .pt, - for standard input, or a name: {_NAMES}."),
    ],
    url: Url = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events per second, at most.")] = None,
    label_delay: LabelDelay = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_EVENTS, help="Arriving nodes, or edges of a task, in one POST.")
    ] = 20,
    batch_bytes: BatchBytes = BATCH_BYTES,
    limit: Annotated[
        int | None, typer.Option(min=0, help="End after this many arrivals, of nodes or edges of a task.")
    ] = None,
    score_from: Annotated[
        int | None, typer.Option(min=0, help="Second accuracy: from this arrival on.", show_default="the dataset's own")
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Report the precision among the 1 % most likely of a class.",
            show_default="that of OLAD_METRIC",
        ),
    ] = None,
    pace: Annotated[
        Literal["learning"] | None,
        typer.Option(help="learning: wait until the service has trained as much as olad evaluate does."),
    ] = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    declare: Declare = False,
    as_json: AsJson = False,
) -> None:
    """Send a dataset to a running service; report the accuracy of what it served at each arrival."""
    settings = read_settings()
    url = service_url(url, settings)
    console = Terminal(stderr=as_json)
    with reported_failures():
        options = StreamOptions(label_delay, batch_size, batch_bytes, limit)
        opened = open_for(console, source, options, tables, settings, declare=declare)
        _require_class(rank, opened)
        if dry_run:
            print_dry_run(console, opened, as_json=as_json)
            return
        if opened.notice:
            console.print(shown(opened.notice), soft_wrap=True)
        print_notes(console, opened)
        with Client(url, key=settings.api_key) as client, contextlib.ExitStack() as files:
            progress = open_record(files, console, opened, client, settings, fresh=fresh)
            view = files.enter_context(ReplayView(console, shown(opened.name), opened.nodes))
            try:
                state = replay(
                    opened,
                    client,
                    progress,
                    rate=rate,
                    score_from=score_from,
                    metric=parse_metric(settings.metric) if settings.metric else None,
                    rank=rank,
                    steps=STEPS_PER_ENTRY if settings.steps_per_entry is None else settings.steps_per_entry,
                    wait_for_learning=pace is not None,
                    on_batch=view.update,
                )
            except KeyboardInterrupt:
                files.close()
                console.print("Stopped; the same command resumes here.")
                raise typer.Exit(130) from None
            files.close()
            if as_json:
                typer.echo(json.dumps({**state.as_dict(), **values_for_machines(client, state.position)}))
                return
            _report(console, shown(opened.name), state)
            print_values(console, client, state.position)


def _require_class(rank: str | None, source: Source) -> None:
    """Check that the class to rank by is one of the source, where its classes are known."""
    schema = source.schema or source.proposal
    if rank is None or schema is None or not schema.classes or rank in schema.classes:
        return
    near = difflib.get_close_matches(rank, schema.classes, n=1, cutoff=0.5)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise UnreadableDataset(f"--rank: {source.name} has no class {rank!r}{meant}")


def _report(console: Console, name: str, state: ReplayState) -> None:
    if state.events == 0 and state.resumed:
        console.print("All of it had been sent before; --fresh sends it again.")
    print_summary(console, name, state)
