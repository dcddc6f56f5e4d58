"""``olad evaluate``: a repeatable prequential score of configurations and baselines on a stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from olad_core.events import MAX_EVENTS
from service.commands.dry_run import print_notes
from service.commands.evaluate_view import EvaluateView, print_report
from service.commands.failures import read_settings, reported_failures
from service.commands.options import AsJson, Declare, Device, LabelDelay
from service.commands.sources import open_for, with_declared_types
from service.commands.table_options import takes_table_options
from service.evaluation.configurations import BASELINES, SETTABLE, configurations, parse_decisions
from service.replay.registry import DATASETS
from service.replay.sources import StreamOptions
from service.replay.table_options import TableOptions
from service.terminal import Terminal, shown

_NAMES = ", ".join(DATASETS)
_SETTINGS = ", ".join(SETTABLE)


@takes_table_options
def evaluate_source(
    tables: TableOptions,
    source: Annotated[str, typer.Argument(help=f"What `olad replay` takes: a file, archive, - or name: {_NAMES}.")],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[NAME:]SETTING=VALUE",
            help=f"One more configuration; repeatable, the same NAME adds to it. SETTING is one of {_SETTINGS}.",
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="NAME", help=f"{', '.join(BASELINES)}; repeatable."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, help="Training steps after each entry.", show_default="the settings', else 8")
    ] = None,
    decisions: Annotated[
        str | None,
        typer.Option(metavar="JSON", help='Declared for all: by class what makes it the label, {"b": {"cost": 20}}.'),
    ] = None,
    label_delay: LabelDelay = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_EVENTS, help="Arriving nodes, or edges of a task, in one entry.")
    ] = 20,
    limit: Annotated[
        int | None, typer.Option(min=0, help="End after this many arrivals, of nodes or edges of a task.")
    ] = None,
    score_from: Annotated[
        int | None, typer.Option(min=0, help="Second score: from this arrival on.", show_default="the source's own")
    ] = None,
    device: Device = None,
    declare: Declare = False,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the charts there, as SVG.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report there, as one HTML file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play a stream through the engine itself, without a service; print the score of each prediction at arrival."""
    settings = read_settings(device=device, steps_per_entry=steps)
    console = Terminal(stderr=as_json)
    with reported_failures():
        compared = configurations(settings, changes or [])
        decided = None if decisions is None else parse_decisions(decisions)
        # Loads torch, which the other commands do without.
        from service.evaluation.charts import charts  # noqa: PLC0415
        from service.evaluation.evaluate import evaluate  # noqa: PLC0415
        from service.evaluation.page import page  # noqa: PLC0415

        options = StreamOptions(label_delay, batch_size, limit=limit)
        opened = with_declared_types(open_for(console, source, options, tables, settings, declare=declare))
        if opened.notice:
            console.print(shown(opened.notice), soft_wrap=True)
        print_notes(console, opened)
        with EvaluateView(console, shown(opened.name), opened.nodes) as view:
            report = evaluate(
                opened,
                compared,
                baselines or [],
                device=settings.device,
                score_from=score_from,
                decisions=decided,
                on_entry=view.update,
            )
        if plot is not None:
            plot.mkdir(parents=True, exist_ok=True)
            for name, chart in charts(report).items():
                (plot / f"{name}.svg").write_text(chart, encoding="utf-8")
        if html is not None:
            html.write_text(page(report), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        print_report(console, report)
