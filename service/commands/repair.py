"""``olad repair``: a damaged log of the Redis of ``olad up``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.commands.failures import read_settings, reported_failures
from service.local.data_dir import locked
from service.local.redis_repair import repair_log
from service.logs import configure_logging


def repair(
    data_dir: Annotated[
        Path | None,
        typer.Argument(help="The data directory.", show_default="olad-data", exists=True, file_okay=False),
    ] = None,
) -> None:
    """Cut off the end of Redis's log that it cannot read, as after a power cut; a copy of all is kept."""
    settings = read_settings(data_dir=data_dir)
    configure_logging(settings.log_level, settings.log_format)
    with reported_failures(), locked(settings.data_dir):
        done = repair_log(settings.data_dir)
    if done.copy is None:
        typer.echo(
            f"Nothing to repair: all {done.kept_bytes:,} bytes of the newest file can be read. Where Redis does not "
            "start all the same, restore a backup (docs/operations.md)."
        )
        return
    typer.echo(
        f"{done.cut_bytes:,} bytes at the end could not be read and were cut off; {done.kept_bytes:,} are left. "
        f"The files as they were are in {done.copy}.\n"
        "If `olad up` then reports that Redis has lost entries, follow docs/operations.md."
    )
