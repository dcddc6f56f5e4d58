"""Encoding and decoding of batches of events: JSON from the client, MessagePack in the log.

Both are decoded into the same :mod:`msgspec` structs, so nothing that the API accepts can mean something else to the
worker. See ``docs/decisions/0002-events-with-msgspec.md``.

>>> batch = decode_json(b'[{"op": "upsert_edge", "src": 1, "dst": "b"}]')
>>> batch[0].src
'1'
>>> decode_log(encode_log(batch)) == batch
True
"""

from __future__ import annotations

import functools
import re
import sys
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from olad_core.events import (
    FLOAT32_MAX,
    MAX_EVENTS,
    MAX_ID_BYTES,
    Event,
    EventProblem,
    InvalidEvents,
    LabelNode,
    RemoveEdge,
    RemoveNode,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
)
from olad_core.graph_types import RELATION, EdgeType, NodeType

NodeTypes: TypeAlias = Mapping[str, NodeType]
EdgeTypes: TypeAlias = Mapping[str, EdgeType]
NO_TYPES: NodeTypes = MappingProxyType({})
"""Of a graph that declares no types of nodes."""
NO_EDGE_TYPES: EdgeTypes = MappingProxyType({})
"""Of a graph that declares no types of edges."""

_json = msgspec.json.Decoder(list[Event])
_raw_json = msgspec.json.Decoder(list[msgspec.Raw])
_one_json = msgspec.json.Decoder(Event)
_any_json = msgspec.json.Decoder(msgspec.Raw)
_log_encoder = msgspec.msgpack.Encoder()
_TRUNCATED = "Input data was truncated"
_PATH = re.compile(r"^(?P<message>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_NAMED_FIELD = re.compile(r"(?:required|unknown) field `(?P<field>[^`]*)`")
_NAMES: dict[type[Event], tuple[str, ...]] = {
    UpsertNode: ("id", "label"),
    RemoveNode: ("id",),
    UpsertEdge: ("src", "dst", "id", "label"),
    RemoveEdge: ("src", "dst", "id"),
    LabelNode: ("id", "label", "src", "dst", "edge"),
}
"""Fields of each event that name a node, an edge or a class."""
_ON_EDGES = (UpsertEdge, RemoveEdge)
_ENDS = ("src", "dst")
_Check: TypeAlias = Callable[[list[Event]], list[Event]]
# Bytes that are no UTF-8 and nesting without end come out of the decoder as Python's own exceptions.
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_json(
    body: bytes,
    feature_width: int | None = None,
    edge_types: EdgeTypes = NO_EDGE_TYPES,
    node_types: NodeTypes = NO_TYPES,
) -> list[Event]:
    """Decode and check a JSON array of events, ids and labels normalised to strings.

    Args:
        body: the array.
        feature_width: declared or held, where there is one.
        edge_types: the declared ones.
        node_types: the declared ones.

    Raises:
        InvalidEvents: naming index and field of every event that is wrong.
    """
    check = functools.partial(_checked, feature_width=feature_width, edge_types=edge_types, node_types=node_types)
    try:
        batch = _json.decode(body)
    except _UNDECODABLE as error:
        raise InvalidEvents(_problems(body, error, check)) from None
    return check(batch)


def decode_ndjson(
    body: bytes,
    feature_width: int | None = None,
    edge_types: EdgeTypes = NO_EDGE_TYPES,
    node_types: NodeTypes = NO_TYPES,
) -> list[Event]:
    """Like :func:`decode_json` for one event a line; empty lines are skipped."""
    check = functools.partial(_checked, feature_width=feature_width, edge_types=edge_types, node_types=node_types)
    lines = [line for line in body.splitlines() if line.strip()]
    try:
        batch = [_one_json.decode(line) for line in lines]
    except _UNDECODABLE:
        raise InvalidEvents(_problems_of_items(lines, check)) from None
    return check(batch)


class _LoggedSparse(Struct, frozen=True):
    indices: list[int]
    values: list[float] | bytes


class _LoggedNode(UpsertNode, tag_field="op", tag="upsert_node", omit_defaults=True):
    """As in the log: features are bytes of little-endian float32. Earlier releases wrote lists."""

    x: list[float] | bytes | _LoggedSparse | None = None  # type: ignore[assignment]


class _LoggedEdge(UpsertEdge, tag_field="op", tag="upsert_edge", omit_defaults=True):
    """As in the log."""

    x: list[float] | bytes | _LoggedSparse | None = None  # type: ignore[assignment]


_log = msgspec.msgpack.Decoder(list[_LoggedNode | RemoveNode | _LoggedEdge | RemoveEdge | LabelNode])
_plain_log = msgspec.msgpack.Decoder(list[_LoggedNode | RemoveNode | UpsertEdge | RemoveEdge | LabelNode])
"""For batches in which no edge has features in the form of the log: their edges need no copy."""
_FEATURED = (UpsertNode, UpsertEdge)
_LOGGED = (_LoggedNode, _LoggedEdge)
_Featured = TypeVar("_Featured", UpsertNode, UpsertEdge, _LoggedNode, _LoggedEdge)
_SWAPPED = sys.byteorder == "big"


def encode_log(batch: Sequence[Event]) -> bytes:
    """The batch as it stands in the log: MessagePack of the checked events, features as float32.

    That is what the graph keeps of them; weights and times keep all their digits.
    """
    return _log_encoder.encode([_logged(event) for event in batch])


def decode_log(payload: bytes) -> list[Event]:
    """The inverse of :func:`encode_log`, for batches that earlier releases wrote too; features are float32 numbers."""
    batch: Sequence[Event]
    try:
        batch = _plain_log.decode(payload)
    except msgspec.ValidationError:
        batch = _log.decode(payload)
    return [_unlogged(event) if isinstance(event, _LOGGED) else event for event in batch]


def decode_log_for_people(payload: bytes) -> list[Event]:
    """Like :func:`decode_log`, with the shortest decimal number for every feature: 0.1, not 0.10000000149011612."""
    batch = decode_log(payload)
    for event in batch:
        if isinstance(event, _FEATURED) and event.x is not None:
            values = [
                float(str(np.float32(value))) for value in (event.x if isinstance(event.x, list) else event.x.values)
            ]
            event.x = values if isinstance(event.x, list) else SparseFeatures(event.x.indices, values)
    return batch


def _logged(event: Event) -> Event:
    if not isinstance(event, _FEATURED) or event.x is None:
        return event
    x: Any
    if isinstance(event.x, list):
        x = _float32_bytes(event.x)
    else:
        x = _LoggedSparse(event.x.indices, _float32_bytes(event.x.values))
    return _with_x(event, _LoggedNode, x) if isinstance(event, UpsertNode) else _with_x(event, _LoggedEdge, x)


def _unlogged(logged: _LoggedNode | _LoggedEdge) -> UpsertNode | UpsertEdge:
    x: Any = logged.x
    if isinstance(x, bytes):
        x = _floats(x)
    elif isinstance(x, _LoggedSparse):
        x = SparseFeatures(x.indices, _floats(x.values) if isinstance(x.values, bytes) else x.values)
    return _with_x(logged, UpsertNode, x) if isinstance(logged, _LoggedNode) else _with_x(logged, UpsertEdge, x)


def _with_x(event: UpsertNode | UpsertEdge, kind: type[_Featured], x: Any) -> _Featured:
    """The event as one of another class with the same fields, with these features."""
    return kind(**{name: x if name == "x" else getattr(event, name) for name in kind.__struct_fields__})


def _rounded(x: list[float] | SparseFeatures) -> list[float] | SparseFeatures:
    """The features as float32 numbers, which is what the log keeps and the worker reads."""
    if isinstance(x, list):
        return array("f", x).tolist()
    return SparseFeatures(x.indices, array("f", x.values).tolist())


def _float32_bytes(values: list[float]) -> bytes:
    packed = array("f", values)
    if _SWAPPED:
        packed.byteswap()
    return packed.tobytes()


def _floats(packed: bytes) -> list[float]:
    values = array("f", packed)
    if _SWAPPED:
        values.byteswap()
    return values.tolist()


def feature_width_of(batch: Iterable[Event]) -> int | None:
    """Width of the first dense features in the batch; None where there are none."""
    for event in batch:
        if isinstance(event, UpsertNode) and isinstance(event.x, list):
            return len(event.x)
    return None


def malformed(text: bytes) -> str | None:
    """Why this is no JSON, and where; None where it is.

    A decoder that expects a type may complain of the type before it has seen that the text is broken.

    >>> malformed(b'{"a": 1}'), malformed(b"[1, 2"), malformed(b"[1; 2]")
    (None, 'JSON is malformed: it ends too early (byte 5)', "JSON is malformed: expected ',' or ']' (byte 2)")
    """
    try:
        _any_json.decode(text)
    except _UNDECODABLE as error:
        _, message = _split(error)
        return message if message != _TRUNCATED else f"JSON is malformed: it ends too early (byte {len(text)})"
    return None


def _problems(body: bytes, error: Exception, check: _Check) -> list[EventProblem]:
    try:
        items = _raw_json.decode(body)
    except _UNDECODABLE:
        return [EventProblem(-1, "", malformed(body) or _split(error)[1])]
    return _problems_of_items([bytes(item) for item in items[: MAX_EVENTS + 1]], check)


def _problems_of_items(items: Sequence[bytes], check: _Check) -> list[EventProblem]:
    """What is wrong with each event: those that cannot be decoded, and of the others those that are refused."""
    problems, decoded = [], {}
    for index, item in enumerate(items[:MAX_EVENTS]):
        try:
            decoded[index] = _one_json.decode(item)
        except _UNDECODABLE as error:
            problem = malformed(item)
            problems.append(EventProblem(index, *(("", problem) if problem else _split(error))))
    if decoded:
        place = [*decoded]
        try:
            check([*decoded.values()])
        except InvalidEvents as refused:
            problems += [EventProblem(place[each.index], each.field, each.message) for each in refused.problems]
            problems.sort(key=lambda problem: problem.index)
    if len(items) > MAX_EVENTS:
        problems.append(EventProblem(-1, "", f"more than {MAX_EVENTS} events"))
    return problems


def _split(error: Exception) -> tuple[str, str]:
    """Field path and message out of the decoder's one line."""
    if isinstance(error, UnicodeDecodeError):
        return "", "the text is not valid UTF-8"
    if isinstance(error, RecursionError):
        return "", "nested too deeply"
    match = _PATH.match(str(error))
    assert match is not None, "the pattern matches any text"
    named = _NAMED_FIELD.search(match["message"])
    return match["path"] or (named["field"] if named else ""), match["message"]


def _checked(  # noqa: PLR0912 (one case for each kind of event)
    batch: list[Event], feature_width: int | None, edge_types: EdgeTypes, node_types: NodeTypes
) -> list[Event]:
    """Normalise in place what the decoder cannot, and refuse what it cannot see."""
    if not batch:
        raise InvalidEvents([EventProblem(-1, "", "a batch needs at least one event")])
    problems: list[EventProblem] = []
    known_types = {*edge_types, *([] if edge_types and RELATION not in edge_types else [RELATION, None])}
    with_ids = {None if name == RELATION else name for name, each in edge_types.items() if each.ids}
    width = feature_width if feature_width is not None else feature_width_of(batch)
    for index, event in enumerate(batch):
        plain = type(event) is UpsertEdge and event.id is None and event.label is None
        for field in _ENDS if plain else _NAMES[type(event)]:
            name = getattr(event, field)
            if isinstance(name, int):
                name = str(name)
                setattr(event, field, name)
            # The decoder counts characters, of four bytes at most, and no digits at all; the limit is in bytes.
            if name is not None and len(name) > MAX_ID_BYTES // 4 and len(name.encode()) > MAX_ID_BYTES:
                problems.append(EventProblem(index, field, f"longer than {MAX_ID_BYTES} bytes"))
        if isinstance(event, _ON_EDGES):
            if event.type not in known_types:
                problems.append(EventProblem(index, "type", _type_problem(event.type, edge_types)))
            else:
                if event.type == RELATION:
                    event.type = None
                ids = event.type in with_ids if with_ids else False
                if ids or event.id is not None or type(event) is RemoveEdge or event.x is not None:  # type: ignore[union-attr]
                    problems.extend(EventProblem(index, *found) for found in _checked_edge(event, ids, edge_types))
        elif isinstance(event, LabelNode):
            found = [*_label_problems(event, known_types, edge_types)]
            problems.extend(EventProblem(index, field, message) for field, message in found)
            event.type = None if event.type == RELATION else event.type
        elif isinstance(event, UpsertNode) and (event.x is not None or event.type is not None or node_types):
            typed = node_types or event.type is not None
            declared = feature_width is not None
            found = [*(_typed_problems(event, node_types) if typed else _feature_problems(event.x, width, declared))]
            problems.extend(EventProblem(index, field, message) for field, message in found)
            if not found:
                event.x = None if event.x is None else _rounded(event.x)
    if problems:
        raise InvalidEvents(problems)
    return batch


def _label_problems(
    event: LabelNode, known_types: Collection[str | None], edge_types: EdgeTypes
) -> Iterator[tuple[str, str]]:
    """What is wrong with how a label names its node or edge."""
    if event.value is not None and event.label:
        yield "value", "this is a value, beside a label"
    elif event.value is None and not event.label:
        yield "label", _missing("label")
    if not event.of_edge:
        if not event.id:
            yield "id", _missing("id")
        if event.type is not None:
            yield "type", "the type is that of an edge: name one by src and dst, or by edge"
        return
    if event.id:
        yield "id", "this names a node, beside an edge"
    if event.type not in known_types:
        yield "type", _type_problem(event.type, edge_types)
        return
    declared = edge_types.get(event.type or RELATION)
    if declared is not None and declared.ids:
        if event.edge is None:
            yield "edge", f"edges of the type {event.type or RELATION!r} have ids: name one"
        yield from ((end, "the id alone names the edge") for end in _ENDS if getattr(event, end) is not None)
    elif event.edge is not None:
        yield "edge", f"edges of the type {event.type or RELATION!r} have no ids: name both ends"
    else:
        yield from ((end, _missing(end)) for end in _ENDS if getattr(event, end) is None)


def _missing(field: str) -> str:
    return f"Object missing required field `{field}`"


def _naming_problems(event: UpsertEdge | RemoveEdge, ids: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with how an event names its edge, in a type whose edges have ids or not."""
    of_type = f"edges of the type {event.type or RELATION!r}"
    if event.id is not None and not ids:
        yield "id", f"{of_type} have no ids: PUT /schema with ids for a new type, or leave it out"
    elif event.id is None and ids:
        yield "id", f"{of_type} have ids: name one"
    elif isinstance(event, RemoveEdge) and ids:
        yield from ((end, "the id alone names the edge") for end in _ENDS if getattr(event, end) is not None)
    elif isinstance(event, RemoveEdge):
        yield from ((end, _missing(end)) for end in _ENDS if getattr(event, end) is None)


def _checked_edge(event: UpsertEdge | RemoveEdge, ids: bool, edge_types: EdgeTypes) -> list[tuple[str, str]]:
    """What is wrong with the names and the features of an edge, which are rounded where they are right."""
    problems = [*_naming_problems(event, ids)]
    if isinstance(event, UpsertEdge) and event.x is not None:
        of_features = [*_edge_problems(event, edge_types)]
        event.x = event.x if of_features else _rounded(event.x)
        problems += of_features
    return problems


def _edge_problems(event: UpsertEdge, edge_types: EdgeTypes) -> Iterator[tuple[str, str]]:
    """What is wrong with the features of an edge."""
    of_type = edge_types.get(event.type or RELATION)
    if of_type is None or of_type.feature_width is None:
        yield "x", f"edges of the type {event.type or RELATION!r} have no features: PUT /schema with a feature_width"
    else:
        yield from _feature_problems(
            event.x, of_type.feature_width, True, f"edges of the type {event.type or RELATION!r}"
        )


def _typed_problems(event: UpsertNode, node_types: NodeTypes) -> Iterator[tuple[str, str]]:
    """What is wrong with the type of a node, and with its features for that type."""
    if not node_types:
        yield "type", f"{event.type!r} is not declared: PUT /schema with node_types first"
    elif event.type not in node_types:
        named = "" if event.type is None else f", not {event.type!r}"
        yield "type", f"this graph's nodes have one of the types {', '.join(map(repr, node_types))}{named}"
    elif event.x is not None:
        width = node_types[event.type or ""].feature_width
        if width is None:
            yield "x", f"nodes of the type {event.type!r} have no features"
        else:
            yield from _feature_problems(event.x, width, True, f"nodes of the type {event.type!r}")


def _type_problem(named: str | None, edge_types: EdgeTypes) -> str:
    """Why an edge cannot have this type."""
    if not edge_types:
        return f"{named!r} is not declared: PUT /schema with edge_types first"
    declared = ", ".join(map(repr, edge_types))
    return f"this graph's edges have one of the types {declared}" + ("" if named is None else f", not {named!r}")


def _feature_problems(
    x: list[float] | SparseFeatures | None, width: int | None, declared: bool, of: str = "this graph's nodes"
) -> Iterator[tuple[str, str]]:
    if x is None:
        return
    if isinstance(x, list):
        if width is not None and len(x) != width:
            yield "x", f"{len(x)} features where {of} have {width}"
        values, where = x, "x"
    else:
        if not declared:
            yield "x", "sparse features need a declared width: PUT /schema with feature_width first"
        elif width is not None and any(index >= width for index in x.indices):
            yield "x.indices", f"an index is not below the feature width {width}"
        if len(x.indices) != len(x.values):
            yield "x", f"{len(x.indices)} indices but {len(x.values)} values"
        if len(set(x.indices)) != len(x.indices):
            yield "x.indices", "an index stands twice"
        values, where = x.values, "x.values"
    if values and (max(values) > FLOAT32_MAX or min(values) < -FLOAT32_MAX):
        yield where, "a number does not fit into float32"
