"""``olad demo``: the service, a real stream and the served accuracy climbing, in one command."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import sys
import threading
import time
import webbrowser
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from olad_core.judging.metric import parse_metric
from service.api_keys import key_ring
from service.client.http import Client
from service.commands.failures import read_settings, reported_failures
from service.commands.options import Device, Port, RedisUrl
from service.commands.replay_view import ReplayView, print_summary
from service.commands.task_view import print_tasks
from service.commands.up import print_urls
from service.local.data_dir import locked
from service.local.processes import LocalService, LocalServiceFailed, StopRequest, listen, stop_on_signals
from service.logs import configure_logging
from service.redaction import printable
from service.replay.progress import Progress
from service.replay.sender import ReplayState, replay
from service.replay.sources import Source, StreamOptions, open_source
from service.settings import Settings
from service.terminal import Terminal

_PORTS_TRIED = 50


def demo(
    dataset: Annotated[str, typer.Argument(help="As in `olad replay`.")] = "digits",
    exit_at_end: Annotated[bool, typer.Option("--exit", help="End with a summary instead of serving on.")] = False,
    port: Port = None,
    data_dir: Annotated[Path, typer.Option(help="Made empty at each start.")] = Path("olad-data/demo"),
    redis_url: RedisUrl = None,
    device: Device = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events per second.", show_default="the dataset's own pace")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="End the stream after this many arrivals.")] = None,
) -> None:
    """Start everything, replay a dataset, show what is served, and serve until Ctrl-C."""
    settings = read_settings(port=port, data_dir=data_dir, redis_url=redis_url, device=device)
    if settings.redis_url is not None:  # A shared Redis may hold graphs of other users.
        settings = settings.model_copy(update={"graph": f"demo-{secrets.token_hex(4)}"})
    configure_logging(settings.log_level, settings.log_format)
    console = Terminal()
    with reported_failures(), stop_on_signals() as stop:
        key_ring(settings)
        source = open_source(dataset, StreamOptions(limit=limit), data_home=settings.data_home)
        if source.notice:
            console.print(source.notice, soft_wrap=True)
        _empty(settings.data_dir)
        settings = _on_free_port(settings, console)
        console.print("Starting Redis, worker and API ...")
        with LocalService(settings, log_dir=settings.data_dir / "logs", stop=stop) as local:
            local.wait_until_live(stop)
            if not stop.requested:
                _run(console, local, source, rate or source.demo_rate, stop, exit_at_end=exit_at_end)
            console.print("Stopping ...")
    console.print("Stopped.")


def _run(
    console: Console, local: LocalService, source: Source, rate: float, stop: StopRequest, *, exit_at_end: bool
) -> None:
    first = next(source.batches, None)
    if first is None:
        raise LocalServiceFailed(f"{source.name} has no events")
    source = replace(source, batches=itertools.chain([first], source.batches))
    print_urls(console, local)
    if first.nodes:
        _print_commands(console, local.url, first.nodes)
    for name, task in source.schema.tasks.items() if source.schema is not None else ():
        if task.kind == "edge_class" and task.classes:
            _print_task_commands(console, local.url, name, task.edge_type, task.classes[-1])
    if not exit_at_end and _can_show_a_page():
        webbrowser.open(f"{local.url}/")
    state = _replay(console, local, source, rate, stop)
    if state is not None:
        has_tasks = source.schema is not None and bool(source.schema.tasks)
        if state.arrivals or not has_tasks:
            print_summary(console, source.name, state)
        if has_tasks and not stop.requested:
            with Client(local.url, key=local.settings.api_key) as client:
                print_tasks(console, client, state.position)
    if exit_at_end or stop.requested:
        return
    console.print(f"Still serving at {local.url}/ - Ctrl-C stops it.")
    while not stop.requested:
        local.poll()
        time.sleep(0.2)


@dataclass
class _Outcome:
    """Results of the replaying thread for the main thread."""

    state: ReplayState | None = None
    error: Exception | None = None
    stop: threading.Event = field(default_factory=threading.Event)


def _replay(
    console: Console, local: LocalService, source: Source, rate: float, stop: StopRequest
) -> ReplayState | None:
    """Replay in a thread of its own while this one, the parent of the processes, watches them."""
    outcome = _Outcome()

    def send() -> None:
        try:
            with (
                Client(local.url, key=local.settings.api_key, stop=outcome.stop) as client,
                Progress(local.settings.data_dir / "replay", local.url) as progress,
            ):
                outcome.state = replay(
                    source,
                    client,
                    progress,
                    rate=rate,
                    metric=parse_metric(local.settings.metric) if local.settings.metric else None,
                    stop=outcome.stop,
                    on_batch=lambda now: _note(outcome, now),
                )
        except Exception as error:
            outcome.error = error

    thread = threading.Thread(target=send, daemon=True)
    with ReplayView(console, source.name, source.nodes) as view:
        thread.start()
        try:
            while thread.is_alive():
                if stop.requested:
                    outcome.stop.set()
                local.poll()
                thread.join(0.2)
                if outcome.state is not None:
                    view.update(outcome.state)
        finally:
            outcome.stop.set()
            thread.join(10)
    if outcome.error is not None and not stop.requested:
        raise outcome.error
    return outcome.state


def _note(outcome: _Outcome, state: ReplayState) -> None:
    outcome.state = state


def _print_commands(console: Console, url: str, nodes: tuple[str, ...]) -> None:
    one, two = printable(nodes[0]), printable(nodes[-1])
    json_body = "-H 'content-type: application/json' -d"
    console.print(
        "Try, once the first model is published:\n"
        f"  curl -s {url}/predict/{one}\n"
        f'  curl -s {url}/predict {json_body} \'{{"nodes": ["{one}", "{two}"]}}\'\n'
        f'  curl -s {url}/events {json_body} \'[{{"op": "upsert_edge", "src": "{one}", "dst": "{two}"}}]\'',
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _print_task_commands(console: Console, url: str, name: str, edge_type: str, of_class: str) -> None:
    console.print(
        f"The task {name} is about {edge_type} edges. Try, once labels have come:\n"
        f"  curl -s '{url}/edges/top/{of_class}?type={edge_type}&limit=5'\n"
        f"  curl -s '{url}/predict/edge?type={edge_type}&src=A&dst=B'\n"
        f"  olad status --url {url}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _can_show_a_page() -> bool:
    has_display = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return has_display and sys.stdin.isatty() and sys.stdout.isatty()


def _empty(data_dir: Path) -> None:
    """Remove what an earlier demo left in the directory; never anything else."""
    with locked(data_dir):
        for name in ("checkpoints", "logs", "redis", "replay"):
            shutil.rmtree(data_dir / name, ignore_errors=True)


def _on_free_port(settings: Settings, console: Console) -> Settings:
    """The settings with the first free port from theirs on."""
    wanted = settings.port
    for port in range(wanted, min(wanted + _PORTS_TRIED, 65_535) + 1):
        try:
            listen(settings.host, port).close()
        except LocalServiceFailed:
            continue
        if port != wanted:
            console.print(f"Port {wanted} is taken; using {port}.")
        return settings.model_copy(update={"port": port})
    raise LocalServiceFailed(f"no free port from {wanted} on: choose another --port")
