"""``olad rebuild``: the log of a graph out of its archive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from redis.exceptions import RedisError

from olad_core.errors import OladError
from service.archive.history import History
from service.archive.left_out import LeftOut, parse_left_out
from service.archive.place import ArchiveUnusable, open_place
from service.archive.rebuild import Rebuilt
from service.archive.rebuild import rebuild as rebuild_log
from service.commands.failures import read_settings, reported_failures
from service.commands.options import RedisUrl
from service.local.data_dir import locked
from service.local.embedded_redis import EmbeddedRedis
from service.settings import Settings
from service.store.connection import connect_blocking
from service.store.entry_format import UnknownEntryFormat
from service.store.keys import Keys
from service.store.lease import Lease
from service.store.log_rebuilder import LogRebuilder
from service.store.raw_log import RawLog


class CannotRebuild(OladError, RuntimeError):
    """The log cannot be rebuilt as things are; the message names what to do first."""


def _span(text: str) -> LeftOut:
    try:
        return parse_left_out(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def rebuild(
    archive: Annotated[
        str, typer.Option("--from", metavar="ARCHIVE", help="Directory or URL of the archive, as in OLAD_ARCHIVE.")
    ],
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the rebuilt service will run.", show_default="olad-data")
    ] = None,
    redis_url: RedisUrl = None,
    without: Annotated[
        list[LeftOut] | None,
        typer.Option(
            parser=_span,
            metavar="POSITION[..POSITION]",
            help="Leave these entries out, both ends included; repeatable.",
        ),
    ] = None,
) -> None:
    """Bring a graph's log back from its archive, with every position as it was; the worker then replays it."""
    settings = read_settings(data_dir=data_dir, redis_url=redis_url)
    with reported_failures():
        place = open_place(archive, settings.graph)
        history = History(place)
        if not history.spans:
            raise ArchiveUnusable(f"there is no archive in {place.name}: name the folder of OLAD_ARCHIVE")
        try:
            done = _rebuild(history, settings, without or [])
        except (CannotRebuild, RedisError, UnknownEntryFormat) as error:
            raise ArchiveUnusable(f"nothing was rebuilt: {error}") from error
    kept = f", and {done.kept:,} that the log in Redis still had" if done.kept else ""
    typer.echo(
        f"{done.archived:,} entries from the archive{kept}: {done.events:,} events up to {done.last}.\n"
        "Start the service: the worker applies them, and predictions follow."
    )


def _rebuild(history: History, settings: Settings, without: list[LeftOut]) -> Rebuilt:
    checkpoints = settings.data_dir / "checkpoints" / settings.graph
    if any(checkpoints.glob("checkpoint-*")):
        raise CannotRebuild(
            f"{checkpoints} holds checkpoints, which are of the history as it was: move them away first"
        )
    keys = Keys(settings.graph)
    with _redis(settings) as url, connect_blocking(url, keys, timeout_s=60) as client:
        lease = Lease(client, keys, settings.data_dir / "workers" / f"{settings.graph}.lock")
        if not lease.take():
            raise CannotRebuild(
                f"a worker of graph {settings.graph!r} is running, or was killed just now: stop it first"
            )
        with lease.kept():
            raw = RawLog(client, keys, lease)
            return rebuild_log(history, LogRebuilder(client, keys, raw), raw.trimmed(), without)


@contextlib.contextmanager
def _redis(settings: Settings) -> Iterator[str]:
    """The Redis of the settings; without one that of the data directory, which is started."""
    with locked(settings.data_dir) as lock:
        if settings.redis_url is not None:
            yield settings.redis_url
            return
        with EmbeddedRedis(settings.data_dir, inherit=(lock,)) as server:
            yield server.url
