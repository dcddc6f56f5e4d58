"""Decoding and encoding large batches piece by piece, so that a caller can do something else in between.

A decoder of JSON runs to its end once it has begun, and 16 MiB take it a second. The batch is cut between events;
the pieces are decoded by the same functions as a small batch, and the result is the same.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import TypeAlias

from olad_core.errors import OladError
from olad_core.event_codec import (
    NO_EDGE_TYPES,
    NO_TYPES,
    EdgeTypes,
    NodeTypes,
    decode_json,
    decode_ndjson,
    encode_log,
    feature_width_of,
    malformed,
)
from olad_core.events import (
    MAX_EVENTS,
    Event,
    EventProblem,
    InvalidEvents,
    SparseFeatures,
    UpsertNode,
)

PIECE_BYTES = 64 * 2**10
"""A batch up to this size is decoded in one piece."""
MAX_EVENT_BYTES = 2 * 2**20
"""Length of one event of a larger batch at most: 65,536 sparse features written with all their digits fit."""
_EVENTS_PER_PIECE = 500

Steps: TypeAlias = Generator[None, None, list[Event]]

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_LIST = rb'\[(?:[^"\[\]{}]++|' + _STRING + rb")*+\]"
_INNER = rb'\{(?:[^"\[\]{}]++|' + _STRING + rb"|" + _LIST + rb")*+\}"
_EVENT = rb'\{(?:[^"\[\]{}]++|' + _STRING + rb"|" + _LIST + rb"|" + _INNER + rb")*+\}"
_OTHER = _STRING + rb"|" + _LIST + rb'|[^"\[\]{},: \t\r\n]++'
_ITEM = re.compile(_EVENT + rb"|" + _OTHER, re.DOTALL)
_AFTER = re.compile(rb"[ \t\r\n]*+([,\]])[ \t\r\n]*+")
_BETWEEN = re.compile(rb"\}[ \t\r\n]*+,[ \t\r\n]*+\{")
_BEGIN = re.compile(rb"[ \t\r\n]*+\[[ \t\r\n]*+")
_LINE = re.compile(rb"[^ \t\r\n][^\r\n]*+")


class TooManyEvents(OladError, ValueError):
    """More events than a batch may have; how many more is not counted."""

    def __init__(self) -> None:
        super().__init__(f"the batch has more than {MAX_EVENTS:,} events")


def json_pieces(
    body: bytes,
    feature_width: int | None = None,
    edge_types: EdgeTypes = NO_EDGE_TYPES,
    node_types: NodeTypes = NO_TYPES,
) -> Steps:
    """Like :func:`olad_core.event_codec.decode_json`, a piece of the batch between two ``yield``.

    Raises:
        InvalidEvents: naming index and field of every event that is wrong.
        TooManyEvents: more than ``MAX_EVENTS``, and none of the first is wrong.
    """
    if len(body) <= PIECE_BYTES:
        return decode_json(body, feature_width, edge_types, node_types)
    whole = _Whole(feature_width, edge_types, node_types)
    start = _BEGIN.match(body)
    end = len(body if body.endswith(b"]") else body.rstrip(b" \t\r\n")) - 1
    if start is None or body[end : end + 1] != b"]":
        raise InvalidEvents([EventProblem(-1, "", malformed(body) or "Expected `array`")])
    at = start.end()
    while True:
        # A cut inside a text leaves its quotation mark open, so such a piece is no JSON and is never taken.
        cut = _BETWEEN.search(body, at + PIECE_BYTES, at + MAX_EVENT_BYTES)
        last = cut.start() + 1 if cut else end
        if last - at > MAX_EVENT_BYTES or not whole.try_json(body[at:last]):
            yield from _event_by_event(body, at, whole)
            return whole.finished()
        if cut is None:
            return whole.finished()
        at = cut.end() - 1
        yield


def ndjson_pieces(
    body: bytes,
    feature_width: int | None = None,
    edge_types: EdgeTypes = NO_EDGE_TYPES,
    node_types: NodeTypes = NO_TYPES,
) -> Steps:
    """Like :func:`json_pieces` for one event a line; empty lines are skipped."""
    if len(body) <= PIECE_BYTES:
        return decode_ndjson(body, feature_width, edge_types, node_types)
    whole = _Whole(feature_width, edge_types, node_types)
    lines: list[bytes] = []
    size = 0
    for found in _LINE.finditer(body):
        if whole.seen + len(lines) == MAX_EVENTS:
            whole.take_lines(lines)
            return whole.too_many()
        if found.end() - found.start() > MAX_EVENT_BYTES:
            whole.take_lines(lines)
            whole.refuse(_too_long())
            lines, size = [], 0
            continue
        lines.append(found[0])
        size += len(found[0])
        if size >= PIECE_BYTES:
            whole.take_lines(lines)
            lines, size = [], 0
            yield
    whole.take_lines(lines)
    return whole.finished()


def log_pieces(batch: list[Event]) -> Generator[None, None, bytes]:
    """The same bytes as :func:`olad_core.event_codec.encode_log`."""
    if len(batch) <= _EVENTS_PER_PIECE:
        return encode_log(batch)
    parts = [_array_header(len(batch))]
    for first in range(0, len(batch), _EVENTS_PER_PIECE):
        piece = batch[first : first + _EVENTS_PER_PIECE]
        parts.append(encode_log(piece)[len(_array_header(len(piece))) :])
        yield
    return b"".join(parts)


def _event_by_event(body: bytes, at: int, whole: _Whole) -> Generator[None, None, None]:
    """Find each event's end by its brackets: something is wrong, or a text looks like the place between two events."""
    items: list[bytes] = []
    size = 0
    for item in _items(body, at):
        if item is None:
            whole.take_items(body, items)
            problem = malformed(body)
            if problem is not None:
                raise InvalidEvents([EventProblem(-1, "", problem)])
            whole.refuse(_too_long())
            return
        if whole.seen + len(items) == MAX_EVENTS:
            whole.take_items(body, items)
            whole.too_many()
        items.append(item)
        size += len(item)
        if size >= PIECE_BYTES:
            whole.take_items(body, items)
            items, size = [], 0
            yield
    whole.take_items(body, items)


def _items(body: bytes, at: int) -> Iterator[bytes | None]:
    """The items from a place on; None, as the last one, where there is something that cannot be an event."""
    while True:
        found = _ITEM.match(body, at, at + MAX_EVENT_BYTES)
        after = _AFTER.match(body, found.end()) if found is not None else None
        if found is None or after is None:
            yield None
            return
        yield found[0]
        at = after.end()
        if after[1] == b"]":
            if at < len(body):
                yield None
            return


class _Whole:
    """What the pieces come to."""

    def __init__(self, feature_width: int | None, edge_types: EdgeTypes, node_types: NodeTypes) -> None:
        self._edge_types, self._node_types = edge_types, node_types
        self._declared = feature_width
        self._width = feature_width
        self._batch: list[Event] = []
        self._problems: list[EventProblem] = []
        self.seen = 0

    def try_json(self, piece: bytes) -> bool:
        """Take a piece if all of it is right, and there is space for it."""
        try:
            events = decode_json(b"[" + piece + b"]", self._width, self._edge_types, self._node_types)
        except InvalidEvents:
            return False
        if self.seen + len(events) > MAX_EVENTS or any(map(self._is_sparse_too_early, events)):
            return False
        self._add(events)
        return True

    def take_items(self, body: bytes, items: list[bytes]) -> None:
        """Take events of a JSON array, or what is wrong with them."""
        if not items:
            return
        try:
            events = decode_json(b"[" + b",".join(items) + b"]", self._width, self._edge_types, self._node_types)
        except InvalidEvents as error:
            if error.problems[0].index < 0:
                raise InvalidEvents([EventProblem(-1, "", malformed(body) or error.problems[0].message)]) from None
            self._note(error, len(items))
        else:
            self._add(events)

    def take_lines(self, lines: list[bytes]) -> None:
        """Take events of one line each, or what is wrong with them."""
        if not lines:
            return
        try:
            events = decode_ndjson(b"\n".join(lines), self._width, self._edge_types, self._node_types)
        except InvalidEvents as error:
            self._note(error, len(lines))
        else:
            self._add(events)

    def refuse(self, message: str) -> None:
        """Note that the next event cannot be taken."""
        self._problems.append(EventProblem(self.seen, "", message))
        self.seen += 1

    def finished(self) -> list[Event]:
        """The batch; raises what is wrong with it."""
        if self._problems:
            raise InvalidEvents(self._problems)
        if not self._batch:
            raise InvalidEvents([EventProblem(-1, "", "a batch needs at least one event")])
        return self._batch

    def too_many(self) -> list[Event]:
        """Raise what is wrong with the events there are, else that there are more of them than may be."""
        if self._problems:
            more = EventProblem(-1, "", f"more than {MAX_EVENTS} events")
            raise InvalidEvents([*self._problems, more])
        raise TooManyEvents

    def _add(self, events: list[Event]) -> None:
        for index, event in enumerate(events):
            if self._is_sparse_too_early(event):
                message = "sparse features need a declared width: PUT /schema with feature_width first"
                self._problems.append(EventProblem(self.seen + index, "x", message))
        self.seen += len(events)
        self._batch += events
        if self._width is None:
            self._width = feature_width_of(events)

    def _is_sparse_too_early(self, event: Event) -> bool:
        return (
            self._declared is None
            and not self._node_types
            and isinstance(event, UpsertNode)
            and isinstance(event.x, SparseFeatures)
        )

    def _note(self, error: InvalidEvents, count: int) -> None:
        for problem in error.problems:
            self._problems.append(EventProblem(self.seen + problem.index, problem.field, problem.message))
        self.seen += count


def _too_long() -> str:
    return f"is no event of at most {MAX_EVENT_BYTES:,} bytes; what comes after it was not looked at"


def _array_header(count: int) -> bytes:
    """MessagePack's header of an array."""
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big") if count < 2**16 else b"\xdd" + count.to_bytes(4, "big")
