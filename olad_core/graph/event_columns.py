"""A batch of events in columns: what the graph applies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import overload

import numpy as np

from olad_core.event_codec import decode_log, encode_log
from olad_core.events import MAX_FEATURE_WIDTH, Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph.arrays import Float32s, Int32s
from olad_core.graph.columns import (
    DENSE,
    ID_LENGTH,
    ID_START,
    LABEL_NODE,
    REMOVE_EDGE,
    REMOVE_NODE,
    SPARSE,
    TASK_LABEL,
    TYPE,
    TYPE_LENGTH,
    TYPE_START,
    UPSERT_EDGE,
    UPSERT_NODE,
    Columns,
    empty_columns,
)
from olad_core.graph.log_walker import walk

_KINDS: dict[type[Event], int] = {
    UpsertNode: UPSERT_NODE,
    RemoveNode: REMOVE_NODE,
    UpsertEdge: UPSERT_EDGE,
    RemoveEdge: REMOVE_EDGE,
    LabelNode: LABEL_NODE,
}


class EventColumns(Sequence[Event]):
    """A batch that the graph applies without an object for each event; as a sequence it makes those objects.

    >>> from olad_core.event_codec import encode_log
    >>> batch = columns_of_log(encode_log([UpsertEdge("a", "b", weight=2.0)]))
    >>> len(batch), batch.columns.weight.tolist(), batch[0].src
    (1, [2.0], 'a')

    Args:
        columns: the arrays.
        payload: the batch as it stands in the log; needed where ``events`` is not given.
        events: the events.
    """

    def __init__(self, columns: Columns, payload: bytes = b"", events: Sequence[Event] | None = None) -> None:
        self.columns = columns
        self._payload = payload
        self._events = events

    def __len__(self) -> int:
        return self.columns.kind.size

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Event]: ...
    def __getitem__(self, at: int | slice) -> Event | Sequence[Event]:
        return self._decoded()[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self._decoded()) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self._decoded()))

    @property
    def payload(self) -> bytes:
        """The batch as it stands in the log."""
        return self._payload or encode_log(self._decoded())

    def text(self, place: int) -> str:
        """The first text of event i for ``2 * i``, its second one for ``2 * i + 1``; empty where it has none."""
        start, length = int(self.columns.start[place]), int(self.columns.length[place])
        return self.columns.text[start : start + length].tobytes().decode() if length else ""

    def type_of(self, event: int) -> str:
        """The type that an event names; empty where it names none."""
        start, length = self.columns.types[:TYPE, event].tolist()
        return self.columns.text[start : start + length].tobytes().decode()

    def edge_id_of(self, event: int) -> str:
        """The id of the edge that an event names; empty where it names none."""
        start, length = self.columns.types[ID_START : ID_LENGTH + 1, event].tolist()
        return self.columns.text[start : start + length].tobytes().decode()

    def _decoded(self) -> Sequence[Event]:
        if self._events is None:
            self._events = decode_log(self._payload)
        return self._events


def columns_of_log(payload: bytes) -> EventColumns:
    """The batch that :func:`olad_core.event_codec.decode_log` would decode, in columns.

    Raises:
        msgspec.MsgspecError, ValueError, TypeError: as ``decode_log`` does.
    """
    # The features in the log are little-endian.
    columns = walk(payload) if sys.byteorder == "little" else None
    return columns_of(decode_log(payload)) if columns is None else EventColumns(columns, payload)


def columns_of(events: Sequence[Event]) -> EventColumns:
    """A batch of checked events in columns; the batch itself where it is in columns.

    Raises:
        ValueError: for sparse features whose indices and values are not as many, or an index that no vector has.
    """
    if isinstance(events, EventColumns):
        return events
    texts = [text for event in events for text in _texts(event)]
    encoded = [text.encode() for text in texts]
    types, ids = [_type(event) for event in events], [_edge_id(event) for event in events]
    values = [np.empty(0, np.float32)]
    indices = [np.empty(0, np.int32)]
    columns = empty_columns(np.frombuffer(b"".join([*encoded, *types, *ids]), np.uint8), len(events), 0)
    columns.weight[:] = columns.time[:] = np.nan
    columns.form[:] = columns.first[:] = columns.width[:] = 0
    columns.length[:] = [len(text) for text in encoded]
    columns.start[:] = [0, *accumulate(map(len, encoded))][: len(encoded)]
    columns.types[TYPE_LENGTH] = [len(name) for name in types]
    columns.types[ID_LENGTH] = [len(name) for name in ids]
    starts = [*accumulate(map(len, [*types, *ids]), initial=sum(map(len, encoded)))]
    columns.types[TYPE_START], columns.types[ID_START] = starts[: len(types)], starts[len(types) : -1]
    end = 0
    for at, event in enumerate(events):
        columns.kind[at] = TASK_LABEL if isinstance(event, LabelNode) and event.of_task else _KINDS[type(event)]
        if isinstance(event, UpsertEdge) and event.weight is not None:
            columns.weight[at] = event.weight
        if not isinstance(event, RemoveNode | RemoveEdge) and event.ts is not None:
            columns.time[at] = event.ts
        if isinstance(event, UpsertNode | UpsertEdge) and event.x is not None:
            index, value = _features(event)
            columns.form[at] = DENSE if isinstance(event.x, list) else SPARSE
            columns.first[at], columns.width[at] = end, value.size
            values.append(value)
            indices.append(index)
            end += value.size
    return EventColumns(columns._replace(value=np.concatenate(values), place=np.concatenate(indices)), events=events)


def _texts(event: Event) -> tuple[str, str]:
    if isinstance(event, UpsertEdge | RemoveEdge):
        return "" if event.src is None else str(event.src), "" if event.dst is None else str(event.dst)
    if isinstance(event, LabelNode) and event.of_task:
        return "", ""  # who has the task reads it
    label = None if isinstance(event, RemoveNode) else event.label
    return str(event.id), "" if label is None else str(label)


def _type(event: Event) -> bytes:
    return (event.type or "").encode() if isinstance(event, UpsertEdge | RemoveEdge | UpsertNode) else b""


def _edge_id(event: Event) -> bytes:
    return str(event.id).encode() if isinstance(event, UpsertEdge | RemoveEdge) and event.id is not None else b""


def _features(event: UpsertNode | UpsertEdge) -> tuple[Int32s, Float32s]:
    """Indices, zeros for dense features, and values."""
    if isinstance(event.x, list):
        return np.zeros(len(event.x), np.int32), np.array(event.x, np.float32)
    assert event.x is not None
    index, value = np.array(event.x.indices, np.int64), np.array(event.x.values, np.float32)
    if index.size != value.size:
        raise ValueError(f"{index.size} indices but {value.size} values")
    if index.size and not 0 <= index.min() <= index.max() < MAX_FEATURE_WIDTH:
        raise ValueError(f"an index is outside 0 to {MAX_FEATURE_WIDTH - 1}")
    return index.astype(np.int32), value
