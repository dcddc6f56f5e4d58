"""``olad up``: the whole service on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.api_keys import key_ring
from service.commands.failures import read_settings, reported_failures
from service.commands.options import (
    ApiProcesses,
    Device,
    Partitions,
    Port,
    RedisUrl,
    StudentRanks,
    Weights,
    require_partitions_for_fixed_weights,
)
from service.local.processes import LocalService, stop_on_signals
from service.logs import configure_logging
from service.terminal import Terminal


def up(
    port: Port = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Checkpoints and Redis's files.", show_default="olad-data")
    ] = None,
    redis_url: RedisUrl = None,
    device: Device = None,
    api_processes: ApiProcesses = None,
    partitions: Partitions = None,
    student_ranks: StudentRanks = None,
    weights: Weights = None,
    new_students: Annotated[
        bool, typer.Option("--new-students", help="Begin with new students; what is served stays until one is better.")
    ] = False,
) -> None:
    """Run Redis, worker and API here until Ctrl-C; data is kept and found again at the next start."""
    settings = read_settings(
        port=port,
        data_dir=data_dir,
        redis_url=redis_url,
        device=device,
        api_processes=api_processes,
        partitions=partitions,
        student_ranks=student_ranks,
        weights=weights,
    )
    require_partitions_for_fixed_weights(settings)
    if new_students:
        settings = settings.model_copy(update={"new_students": f"up-{time.time_ns()}"})
    configure_logging(settings.log_level, settings.log_format)
    console = Terminal()
    with reported_failures(), stop_on_signals() as stop:
        key_ring(settings)  # Checked here, because the API would end again and again.
        console.print("Starting ...")
        with LocalService(settings, stop=stop) as local:
            local.wait_until_live(stop)
            if not stop.requested:
                print_urls(console, local)
                console.print("Ctrl-C stops it.")
            while not stop.requested:
                local.poll()
                time.sleep(0.2)
            console.print("Stopping ...")
    console.print("Stopped.")


def print_urls(console: Console, local: LocalService) -> None:
    """Where the service can be reached."""
    console.print(
        f"Dashboard  {local.url}/\nAPI        {local.url}/docs\nData       {local.settings.data_dir}", soft_wrap=True
    )
