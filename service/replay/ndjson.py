"""Events that are events already: one JSON object a line, or an array of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import IO

import msgspec
from msgspec import structs

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from olad_core.graph_types import RELATION
from service.replay.arrival_stream import Arrival, UnreadableDataset
from service.replay.event_files import read_lines, unwrapping
from service.replay.file_kinds import begin_of
from service.replay.json_text import JsonText

_decoder = msgspec.json.Decoder(Event)


def read_events(opened: Callable[[], IO[bytes]], name: str, *, arrivals: bool = True) -> Iterator[Arrival]:
    """The events of a file in any of the wrappings of :mod:`~service.replay.event_files`: one a line, or an array.

    Args:
        opened: opens the file at its beginning.
        name: for messages.
        arrivals: as for :func:`read_ndjson`.

    Raises:
        UnreadableDataset: naming the line, or the event of an array, and what is wrong with it.
    """
    with opened() as file, unwrapping(file, name) as (head, stream):
        if begin_of(head).startswith("["):
            text = JsonText(stream, head, name)
            values = (json.dumps(value).encode() for value in text.items())
            yield from read_ndjson(values, name, arrivals=arrivals, unit="event")
            text.end()
        else:
            yield from read_ndjson(read_lines(stream, name), name, arrivals=arrivals)


def read_ndjson(lines: Iterable[bytes], name: str, *, arrivals: bool = True, unit: str = "line") -> Iterator[Arrival]:
    """One arrival a line, in the order of the lines; empty lines are skipped.

    A node arrives with its first ``upsert_node``. Labels stay where they stand; what they say counts as known
    from then on.

    Args:
        lines: of the file.
        name: for messages.
        arrivals: whether to find out which nodes arrive; the ids of all of them are kept for that.
        unit: what is numbered, for messages.

    Raises:
        UnreadableDataset: naming the line and what is wrong with it.

    >>> lines = [b'{"op": "upsert_node", "id": 7}', b'{"op": "label", "id": 7, "label": "red"}']
    >>> [(arrival.node, arrival.truth) for arrival in read_ndjson(lines, "example")]
    [('7', None), (None, ('7', 'red'))]
    """
    reading = Reading(arrivals=arrivals)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # What msgspec states of a text that ends too early.
            is_cut = "truncated" in str(error)
            problem = "the object is not whole: fetch or write the file again" if is_cut else str(error)
            raise UnreadableDataset(f"{name}, {unit} {number}: {problem}") from None
        yield reading.arrival(event)


class Reading:
    """Finds out of events in order which nodes and edges arrive, and which classes become known.

    Args:
        arrivals: whether to find out which nodes arrive; the ids of all of them are kept for that.
        edge_types: types of edges that count as arrivals, as nodes do.
    """

    def __init__(self, *, arrivals: bool = True, edge_types: Collection[str] = ()) -> None:
        self._seen: set[str] | None = set() if arrivals else None
        self._edge_types = edge_types

    def arrival(self, event: Event) -> Arrival:
        """The next event with what it makes known."""
        node = truth = None
        if isinstance(event, UpsertNode) or (isinstance(event, LabelNode) and not event.of_task):
            if event.label is not None:
                truth = (str(event.id), str(event.label))
            if self._seen is not None and isinstance(event, UpsertNode) and str(event.id) not in self._seen:
                node = str(event.id)
                self._seen.add(node)
        edge = isinstance(event, UpsertEdge) and (event.type or RELATION) in self._edge_types
        return Arrival((event,), node, truth, edge)


def without_labels(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Take the labels out of the events, so that :func:`~service.replay.label_delay.delay_labels` can send them."""
    for arrival in arrivals:
        events = tuple(
            _unlabelled(event) for event in arrival.events if not isinstance(event, LabelNode) or event.of_task
        )
        yield replace(arrival, events=events)


def _unlabelled(event: Event) -> Event:
    return structs.replace(event, label=None) if isinstance(event, UpsertNode) else event
