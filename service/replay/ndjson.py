"""Events that are events already: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec
from msgspec import structs

from olad_core.events import Event, LabelNode, UpsertNode
from service.replay.arrival_stream import Arrival, UnreadableDataset

_decoder = msgspec.json.Decoder(Event)


def read_ndjson(lines: Iterable[bytes], name: str, *, arrivals: bool = True) -> Iterator[Arrival]:
    """One arrival a line, in the order of the lines; empty lines are skipped.

    A node arrives with its first ``upsert_node``. Labels stay where they stand; what they say counts as known
    from then on.

    Args:
        lines: of the file.
        name: for messages.
        arrivals: whether to find out which nodes arrive; the ids of all of them are kept for that.

    Raises:
        UnreadableDataset: naming the line and what is wrong with it.

    >>> lines = [b'{"op": "upsert_node", "id": 7}', b'{"op": "label", "id": 7, "label": "red"}']
    >>> [(arrival.node, arrival.truth) for arrival in read_ndjson(lines, "example")]
    [('7', None), (None, ('7', 'red'))]
    """
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableDataset(f"{name}, line {number}: {error}") from None
        node = truth = None
        if isinstance(event, UpsertNode | LabelNode):
            if event.label is not None:
                truth = (str(event.id), str(event.label))
            if arrivals and isinstance(event, UpsertNode) and str(event.id) not in seen:
                node = str(event.id)
                seen.add(node)
        yield Arrival((event,), node, truth)


def without_labels(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Take the labels out of the events, so that :func:`~service.replay.label_delay.delay_labels` can send them."""
    for arrival in arrivals:
        events = tuple(_unlabelled(event) for event in arrival.events if not isinstance(event, LabelNode))
        yield replace(arrival, events=events)


def _unlabelled(event: Event) -> Event:
    return structs.replace(event, label=None) if isinstance(event, UpsertNode) else event
