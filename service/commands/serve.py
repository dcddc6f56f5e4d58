"""``olad api`` and ``olad worker``: one process each, for containers and for the local service."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from service.api_keys import key_ring
from service.collector import paused_collector
from service.commands.failures import read_settings, reported_failures
from service.commands.options import (
    ApiProcesses,
    Partitions,
    StudentRanks,
    Weights,
    require_partitions_for_fixed_weights,
)
from service.logs import configure_logging


def api(
    processes: ApiProcesses = None,
    fd: Annotated[int | None, typer.Option(hidden=True, help="Serve an inherited listening socket.")] = None,
) -> None:
    """Serve the HTTP API. Needs a Redis: OLAD_REDIS_URL."""
    settings = read_settings(api_processes=processes)
    configure_logging(settings.log_level, settings.log_format)
    listener = None if fd is None else socket.socket(fileno=fd)
    # Each process loads only its own half: the API never imports torch, the worker no web framework.
    if settings.api_processes > 1:
        from service.api.processes import run_processes  # noqa: PLC0415

        with reported_failures():
            key_ring(settings)  # Checked here, so that what is wrong is reported once.
        served = run_processes(settings, listener)
    else:
        from service.api.server import make_server  # noqa: PLC0415

        with reported_failures():
            server = make_server(settings)
        server.run(sockets=None if listener is None else [listener])
        served = server.started
    if not served:
        raise typer.Exit(3)


def worker(
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Work beside the others as this variant (docs/variants.md).", show_default="default"
        ),
    ] = None,
    begin_from: Annotated[
        str | None,
        typer.Option("--from", metavar="ARCHIVE", help="Begin the variant with the whole history out of this archive."),
    ] = None,
    partitions: Partitions = None,
    student_ranks: StudentRanks = None,
    weights: Weights = None,
) -> None:
    """Apply events, keep predictions fresh, learn. Needs a Redis: OLAD_REDIS_URL."""
    settings = read_settings(
        variant=variant, begin_from=begin_from, partitions=partitions, student_ranks=student_ranks, weights=weights
    )
    configure_logging(settings.log_level, settings.log_format)
    require_partitions_for_fixed_weights(settings)
    if settings.student_ranks > 1:
        with paused_collector():
            from service.student_ranks.worker import run_over_ranks  # noqa: PLC0415

        raise typer.Exit(run_over_ranks(settings))
    if settings.partitions > 1:
        with paused_collector():
            from service.partitioned.launcher import Start, run_ranks  # noqa: PLC0415
            from service.partitioned.worker import work  # noqa: PLC0415

        raise typer.Exit(run_ranks(Start(settings, settings.partitions, work)))
    with paused_collector():
        from service.worker.assembly import main  # noqa: PLC0415

    main(settings)
