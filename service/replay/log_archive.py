"""An archive of a log as a source: its entries as they came, with their times of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from olad_core.event_codec import decode_log
from olad_core.events import Event, GraphSchema
from olad_core.schema import HeldSchema, after_declaration
from olad_core.task_types import tasks_on_edges
from service.archive.history import History
from service.archive.place import DirectoryPlace, Place, UrlPlace
from service.archive.segment import Segment, named, span_of
from service.replay.arrival_stream import Arrival, Batch, UnreadableDataset
from service.replay.ndjson import Reading, without_labels

if TYPE_CHECKING:
    from service.replay.sources import StreamOptions

_MOST_CLASSES = 10**9
"""The limit was kept when the entries came."""


def archive_at(source: str) -> Place | None:
    """The archive of one graph that a source names: its folder, or the one above it where that holds one graph.

    Returns:
        None where the source is no archive.

    Raises:
        UnreadableDataset: the folder holds the archives of several graphs.
        ArchiveUnusable: it cannot be read.
    """
    if "://" in source:
        return UrlPlace(source)
    path = Path(source)
    folders = [path, *sorted(found for found in path.iterdir() if found.is_dir())] if path.is_dir() else []
    found = [folder for folder in folders if any(span_of(file.name) for file in folder.glob("*.segment"))]
    if len(found) > 1:
        raise UnreadableDataset(f"{source} holds the archives of {len(found)} graphs: name one of {found[0]}, ...")
    return DirectoryPlace(found[0]) if found else None


class LogArchive:
    """The entries of one graph's archive. All segments are read and checked when this is made.

    Entries that the worker had set aside are left out, and so is what a rebuild has left out.

    Args:
        place: of the archive.

    Raises:
        HistoryBroken: entries are missing or damaged.
        UnreadableDataset: there are no entries.
    """

    def __init__(self, place: Place) -> None:
        self._history = History(place)
        self.name = place.name
        self.schema: GraphSchema | None = None
        """All that was declared, as one declaration; None where nothing was."""
        self.clock_settings = 0
        """Entries that have set the graph's clock, which are not played."""
        self.entries = 0
        schema = HeldSchema()
        for segment in self._segments():
            for _, fields in segment.entries:
                entry = named(fields)
                self.entries += 1
                self.clock_settings += b"clock" in entry
                if b"schema" in entry:
                    change = GraphSchema.model_validate_json(entry[b"schema"])
                    schema = after_declaration(schema, change, _MOST_CLASSES)
                    self.schema = schema.declared()
        if not self.entries:
            raise UnreadableDataset(f"the archive {place.name} holds no entries")

    @property
    def identity(self) -> str:
        """What changes when the archive has further entries."""
        return f"{self.name} {self._history.last}"

    def batches(self, limit: int | None) -> Iterator[Batch]:
        """One batch an entry.

        Args:
            limit: end after the entry with this arrival; None for all. A node arrives with its first ``upsert_node``,
                and an edge of a type with a task with each ``upsert_edge``.
        """
        reading, seen = Reading(edge_types=self._edges_with_tasks()), 0
        for events, arrived_at in self._entries():
            if limit is not None and seen >= limit:
                return
            arrivals = [reading.arrival(event) for event in events]
            nodes = tuple(arrival.node for arrival in arrivals if arrival.node is not None)
            truths = tuple(arrival.truth for arrival in arrivals if arrival.truth is not None)
            yield Batch(tuple(events), nodes, truths, arrived_at)
            seen += sum(arrival.counts for arrival in arrivals)

    def arrivals(self, options: StreamOptions) -> Iterator[Arrival]:
        """One arrival an event; without labels where they are to come after a delay."""
        counted = options.scored or options.label_delay is not None
        reading = Reading(arrivals=counted, edge_types=self._edges_with_tasks() if counted else ())
        found = (reading.arrival(event) for events, _ in self._entries() for event in events)
        return found if options.label_delay is None else without_labels(found)

    def _edges_with_tasks(self) -> set[str]:
        """Types of edges that tasks are on."""
        declared = {} if self.schema is None else tasks_on_edges(self.schema.tasks)
        return {task.edge_type for task in declared.values()}

    def _entries(self) -> Iterator[tuple[list[Event], float]]:
        """The events of each batch, and seconds at which it came."""
        for segment in self._segments():
            for position, fields in segment.entries:
                entry, at = named(fields), position.decode()
                if b"events" not in entry or at in segment.header.skipped:
                    continue
                came = entry.get(b"at", position.partition(b"-")[0])
                try:
                    yield decode_log(entry[b"events"]), int(came) / 1000
                except (msgspec.MsgspecError, ValueError) as error:
                    raise UnreadableDataset(f"{self.name}, entry {at}: {error}") from error

    def _segments(self) -> Iterator[Segment]:
        return self._history.segments(left_out=self._history.left_out)
