"""``olad replay``: a dataset as a stream of POSTs."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from olad_core.events import MAX_EVENTS
from service.client.http import Client
from service.commands.failures import read_settings, reported_failures
from service.commands.options import AsJson, Url
from service.commands.replay_view import ReplayView, print_summary
from service.replay.arrival_stream import BATCH_BYTES
from service.replay.progress import Progress
from service.replay.registry import DATASETS
from service.replay.sender import ReplayState, forget_if_lost, replay
from service.replay.sources import Source, StreamOptions, open_source
from service.settings import Settings
from service.terminal import Terminal, shown

_NAMES = ", ".join(DATASETS)


def replay_source(
    source: Annotated[
        str,
        typer.Argument(help=f"An .npz, NDJSON of events (compressed too), - for standard input, or a name: {_NAMES}."),
    ],
    url: Url = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events per second, at most.")] = None,
    label_delay: Annotated[
        int | None, typer.Option(min=0, help="Arrivals between a node and its label.", show_default="the dataset's own")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=MAX_EVENTS, help="Nodes that arrive in one POST.")] = 20,
    batch_bytes: Annotated[
        int, typer.Option(min=1000, max=16 * 2**20, help="Bytes of JSON in one POST, at most.")
    ] = BATCH_BYTES,
    limit: Annotated[int | None, typer.Option(min=0, help="End after this many arrivals.")] = None,
    score_from: Annotated[
        int | None, typer.Option(min=0, help="Second accuracy: from this arrival on.", show_default="the dataset's own")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of resuming where it stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a dataset to a running service; report the accuracy of what it served at each arrival."""
    settings = read_settings()
    url = url or f"http://{settings.host}:{settings.port}"
    console = Terminal(stderr=as_json)
    with reported_failures():
        opened = open_source(
            source,
            StreamOptions(label_delay, batch_size, batch_bytes, limit),
            data_home=settings.data_home,
        )
        with Client(url, key=settings.api_key) as client, contextlib.ExitStack() as files:
            log = client.status().log_id or client.url
            progress = _open_progress(files, opened, client.url, log, settings, fresh=fresh)
            if opened.notice:
                console.print(shown(opened.notice), soft_wrap=True)
            if not progress.done and not fresh and progress.sent_to_another_log():
                notice = f"{client.url} has another log than the one this was sent to before: sending all of it."
                console.print(notice, soft_wrap=True)
            if lost := forget_if_lost(client, progress):
                console.print(
                    f"The log ends before the last {lost:,} batches that were sent to it: sending them again."
                )
            view = files.enter_context(ReplayView(console, shown(opened.name), opened.nodes))
            try:
                state = replay(opened, client, progress, rate=rate, score_from=score_from, on_batch=view.update)
            except KeyboardInterrupt:
                files.close()
                console.print("Stopped; the same command resumes here.")
                raise typer.Exit(130) from None
        _report(console, shown(opened.name), state, as_json=as_json)


def _open_progress(
    files: contextlib.ExitStack, source: Source, url: str, log: str, settings: Settings, *, fresh: bool
) -> Progress:
    if source.identity is None:  # Standard input cannot be read again, so a replay of it cannot be resumed.
        folder = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="olad-replay-")))
    else:
        folder = settings.data_dir / "replay"
    replay, sent_to = f"{log} {source.identity}", f"{url} {source.identity}"
    return files.enter_context(Progress(folder, replay, sent_to=sent_to, fresh=fresh))


def _report(console: Console, name: str, state: ReplayState, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(state.as_dict()))
        return
    if state.events == 0 and state.resumed:
        console.print("All of it had been sent before; --fresh sends it again.")
    print_summary(console, name, state)
