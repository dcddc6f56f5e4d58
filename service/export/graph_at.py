"""The graph at a position: a checkpoint and the log after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from redis.exceptions import RedisError

from olad_core.graph.state_check import check_graph_state
from olad_core.graph.store import DynamicGraph
from olad_core.named_state import take_part
from olad_core.schema import SchemaConflict, TooManyClasses
from service.export.failed import ExportFailed
from service.export.known_answers import KnownAnswers
from service.export.late_edges import LateEdges
from service.settings import Settings
from service.store.connection import connect_blocking
from service.store.entry_format import UnknownEntryFormat
from service.store.fence import LogLost
from service.store.keys import Keys
from service.store.log_reader import Entry, LogReader
from service.store.positions import START, parse_position
from service.worker.checkpoint import BrokenCheckpoint, OtherFormat, list_checkpoints, read_checkpoint, read_position
from service.worker.earlier_formats import converted

_EVENTS_PER_READ = 20_000


@dataclass
class GraphAt:
    """A graph, the position of the log that it is at, and what is known of its tasks there."""

    graph: DynamicGraph
    position: str = START
    known: KnownAnswers = field(default_factory=KnownAnswers)


def graph_at(
    settings: Settings, wanted: str | None = None, late: LateEdges | None = None, *, with_known: bool = False
) -> GraphAt:
    """The graph at a position, out of the newest checkpoint before it and the log after that.

    The log is read in the Redis of the settings, else in the embedded one of the data directory where that runs.
    Without either the graph is that of the checkpoint.

    Args:
        settings: with data directory, Redis and name of the graph.
        wanted: the position; None for the end of the log.
        late: takes the edges of its type that the checkpoint or the log has.
        with_known: whether to follow what is known of the graph's tasks.

    Raises:
        ExportFailed: there is neither a checkpoint nor a log, they do not fit, or the position is in neither.
    """
    folder = settings.data_dir / "checkpoints" / settings.graph
    found = _from_checkpoint(folder, wanted, settings.max_classes, late, with_known=with_known)
    url = settings.redis_url or _embedded(settings.data_dir)
    if url is None:
        if found is None:
            raise ExportFailed(
                f"there is no checkpoint in {folder}, and no Redis with a log: name the data directory with "
                "--data-dir, or the nodes with --nodes"
            )
        if wanted is not None and parse_position(found.position) < parse_position(wanted):
            raise ExportFailed(
                f"the newest checkpoint is at {found.position}, before {wanted}: with a running service the log after "
                "it is read too"
            )
        return found
    found = found or _empty(settings)
    try:
        keys = Keys(settings.graph)
        with connect_blocking(url, keys, timeout_s=60) as redis:
            _follow_log(found, LogReader(redis, keys), wanted, late, with_known=with_known)
    except (RedisError, LogLost, UnknownEntryFormat, ValueError) as error:
        raise ExportFailed(f"the log after {found.position} cannot be read: {error}") from None
    return found


def _empty(settings: Settings) -> GraphAt:
    return GraphAt(DynamicGraph(max_classes=settings.max_classes))


def _embedded(data_dir: Path) -> str | None:
    """The URL of the Redis that runs in a data directory."""
    socket = data_dir.absolute() / "redis" / "redis.sock"
    return f"unix://{quote(str(socket))}" if socket.is_socket() else None


def _from_checkpoint(
    folder: Path, wanted: str | None, max_classes: int, late: LateEdges | None, *, with_known: bool
) -> GraphAt | None:
    """The graph of the newest whole checkpoint, at or before the wanted position."""
    broken: Exception | None = None
    for path in reversed(list_checkpoints(folder)):
        at = read_position(path)
        if at is None or (wanted is not None and parse_position(at) > parse_position(wanted)):
            continue
        try:
            checkpoint = read_checkpoint(path)
            applied = int(str(checkpoint.values.get("applied_events", 0)))
            tensors = converted(checkpoint.tensors, at, applied)
            arrays = {name: tensor.numpy() for name, tensor in take_part(tensors, "graph").items()}
            check_graph_state(arrays)
            arrival = int(at.partition("-")[0]) / 1000
            graph = DynamicGraph.from_state(arrays, arrival, max_classes=max_classes)
            found = GraphAt(graph, at)
            if with_known:
                found.known.take_checkpoint(graph, tensors, checkpoint.values)
            if late is not None:
                late.take_checkpoint(graph, tensors, checkpoint.values)
        except (BrokenCheckpoint, OtherFormat, KeyError, ValueError) as error:
            broken = error
            continue
        return found
    if broken is not None:
        raise ExportFailed(f"no checkpoint in {folder} can be read: {broken}")
    return None


def _follow_log(
    found: GraphAt, log: LogReader, wanted: str | None, late: LateEdges | None, *, with_known: bool
) -> None:
    """Apply the entries of the log up to the wanted position, or to its present end."""
    log.require(found.position)
    end = log.last() or START
    if wanted is not None and parse_position(end) < parse_position(wanted):
        raise ExportFailed(f"the log ends at {end}, before {wanted}")
    skipped = log.skipped()
    goal = parse_position(end if wanted is None else wanted)
    while parse_position(found.position) < goal:
        entries = log.read(found.position, max_events=_EVENTS_PER_READ)
        if not entries:
            return
        for entry in entries:
            if parse_position(entry.position) > goal:
                return
            _apply(found.graph, entry, found.known if with_known else None, skip=entry.position in skipped)
            if late is not None:
                late.take_events(entry.events)
            found.position = entry.position


def _apply(graph: DynamicGraph, entry: Entry, known: KnownAnswers | None, *, skip: bool) -> None:
    """Apply an entry as the worker does; what it rejects changes nothing."""
    if entry.problem or skip:
        graph.pass_over(entry.events)
    elif entry.schema is not None:
        try:
            graph.declare(entry.schema)
        except (SchemaConflict, TooManyClasses):
            return
    elif entry.clock is not None:
        graph.set_clock(entry.clock.time, entry.arrival)
    elif entry.version is None:
        if known is not None:
            known.begin_entry(graph, entry.events, entry.arrival)
        changes = graph.apply(entry.events, entry.arrival)
        if known is not None:
            rejected = {each.index for each in changes.rejected}
            known.end_entry(graph, [event for at, event in enumerate(entry.events) if at not in rejected])
