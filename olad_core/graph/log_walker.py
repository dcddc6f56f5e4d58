"""The compiled walk over a batch as it stands in the log: MessagePack in, columns out, no Python object an event.

It takes what :func:`olad_core.event_codec.encode_log` writes. At anything else, right or wrong, it stops; whoever
calls it decodes that batch with :func:`olad_core.event_codec.decode_log`, which knows every form and names every error.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from olad_core.events import MAX_FEATURE_WIDTH, MAX_ID_BYTES, MAX_TIME, MAX_WEIGHT
from olad_core.graph.arrays import Float64s, Int64s, Integer, UInt8s
from olad_core.graph.columns import (
    DENSE,
    ID_LENGTH,
    ID_START,
    REMOVE_EDGE,
    SPARSE,
    TYPE_LENGTH,
    TYPE_START,
    UPSERT_EDGE,
    Columns,
    empty_columns,
)
from olad_core.graph.compiled import compiled

_TAG_FIELD = (b"op",)
_TAGS = (b"upsert_node", b"remove_node", b"upsert_edge", b"remove_edge", b"label")
"""In the order of the kinds."""
_FIELDS = (b"src", b"dst", b"weight", b"ts", b"id", b"x", b"label", b"type")
_SOURCE, _TARGET, _WEIGHT, _TS, _ID, _X, _LABEL, _TYPE = range(8)
_SPARSE_FIELDS = (b"indices", b"values")
_EDGE, _NODE, _TRUTH = 1 << _SOURCE | 1 << _TARGET, 1 << _ID, 1 << _ID | 1 << _LABEL
_NEEDED = (_NODE, _NODE, _EDGE, _EDGE, _TRUTH)
"""Fields that an event of each kind has, a bit each. An edge is also removed by its id alone."""
_ALLOWED = (
    _TRUTH | 1 << _X | 1 << _TS | 1 << _TYPE,
    _NODE,
    _EDGE | 1 << _WEIGHT | 1 << _TS | 1 << _TYPE | 1 << _ID | 1 << _X,
    _EDGE | 1 << _TYPE | 1 << _ID,
    _TRUTH | 1 << _TS,
)
"""Fields that it may have."""
_LONGEST = MAX_ID_BYTES


def walk(payload: bytes) -> Columns | None:
    """The columns of a batch in the log; None where it is not of the usual form."""
    events, begin = _array_header(payload)
    # The shortest event has more than a byte, so that a header cannot ask for more memory than its batch.
    if not 0 <= events <= len(payload):
        return None
    text = np.frombuffer(payload, np.uint8)
    columns = empty_columns(text, events, len(payload) // 4)
    if not _walk(text, begin, columns, columns.value.view(np.uint8)):
        return None
    return columns


def _array_header(payload: bytes) -> tuple[int, int]:
    """Length of MessagePack's array and where its first item begins; -1 where it is no array."""
    first = payload[0] if payload else 0
    if 0x90 <= first <= 0x9F:
        return first & 15, 1
    width = {0xDC: 2, 0xDD: 4}.get(first)
    if width is None:
        return -1, 0
    return int.from_bytes(payload[1 : 1 + width], "big"), 1 + width


@compiled
def _is_at(text: UInt8s, at: Integer, word: bytes) -> bool:
    same = True
    for place in range(len(word)):
        same &= text[at + place] == word[place]
    return same


@compiled
def _which(text: UInt8s, at: Integer, length: Integer, words: tuple[bytes, ...]) -> int:
    """Place of the string among these words; -1 where it is another."""
    for number, word in enumerate(words):
        if length == len(word) and _is_at(text, at, word):
            return number
    return -1


@compiled
def _number(text: UInt8s, at: Integer, width: Integer) -> Integer:
    """Big-endian number."""
    number = np.int64(0)
    for place in range(width):
        number = (number << 8) | np.int64(text[at + place])
    return number


@compiled
def _sized(text: UInt8s, at: Integer, width: Integer) -> tuple[Integer, Integer]:
    """Length in a header whose last ``width`` bytes hold it, and where the content begins; -1 where it is cut off."""
    begin = at + 1 + width
    length = _number(text, at + 1, width) if begin <= text.size else np.int64(-1)
    return (length if length <= text.size - begin else np.int64(-1)), begin


@compiled
def _string(text: UInt8s, at: Integer) -> tuple[Integer, Integer]:
    """Length of a string, and where it begins; -1 where it is something else or cut off."""
    head = np.int64(text[at]) if at < text.size else np.int64(0)
    if 0xA0 <= head <= 0xBF:
        length, begin = head & 31, at + 1
        return (length if length <= text.size - begin else np.int64(-1)), begin
    return _sized(text, at, 1 << (head - 0xD9)) if 0xD9 <= head <= 0xDB else (np.int64(-1), at)


@compiled
def _binary(text: UInt8s, at: Integer) -> tuple[Integer, Integer]:
    """The same for bytes."""
    head = np.int64(text[at]) if at < text.size else np.int64(0)
    return _sized(text, at, 1 << (head - 0xC4)) if 0xC4 <= head <= 0xC6 else (np.int64(-1), at)


@compiled
def _array(text: UInt8s, at: Integer) -> tuple[Integer, Integer]:
    """The same for an array, whose items have a byte at least."""
    head = np.int64(text[at]) if at < text.size else np.int64(0)
    if 0x90 <= head <= 0x9F:
        return head & 15, at + 1
    return _sized(text, at, 2 << (head - 0xDC)) if 0xDC <= head <= 0xDD else (np.int64(-1), at)


@compiled
def _is_utf8(text: UInt8s, at: Integer, length: Integer) -> bool:
    end = at + length
    while at < end:
        head = text[at]
        if head < 0x80:
            at += 1
            continue
        # The second byte's range excludes forms that are too long, surrogates, and what lies above the last character.
        least, most = 0x80, 0xBF
        if 0xC2 <= head <= 0xDF:
            more = 1
        elif 0xE0 <= head <= 0xEF:
            more = 2
            least = 0xA0 if head == 0xE0 else least
            most = 0x9F if head == 0xED else most
        elif 0xF0 <= head <= 0xF4:
            more = 3
            least = 0x90 if head == 0xF0 else least
            most = 0x8F if head == 0xF4 else most
        else:
            return False
        if at + more >= end or text[at + 1] < least or text[at + 1] > most:
            return False
        for place in range(at + 2, at + more + 1):
            if text[place] & 0xC0 != 0x80:
                return False
        at += more + 1
    return True


@compiled
def _take_text(
    text: UInt8s, at: Integer, starts: Int64s, lengths: npt.NDArray[np.signedinteger], place: Integer
) -> Integer:
    """Note the text at ``at``; where it ends, -1 where it is none that may stand there."""
    length, begin = _string(text, at)
    if length < 1 or length > _LONGEST or not _is_utf8(text, begin, length):
        return -1
    starts[place] = begin
    lengths[place] = length
    return begin + length


@compiled
def _take_float(text: UInt8s, at: Integer, into: Float64s, event: Integer) -> Integer:
    if text.size - at < 9 or text[at] != 0xCB:
        return -1
    into.view(np.int64)[event] = _number(text, at + 1, 8)
    return at + 9


@compiled
def _take_values(text: UInt8s, at: Integer, value_bytes: UInt8s, end: Integer) -> tuple[Integer, Integer]:
    """Copy little-endian float32; how many, and where they end in the payload. -1 where it is something else."""
    length, begin = _binary(text, at)
    if length < 0 or length % 4 != 0 or 4 * end + length > value_bytes.size:
        return -1, at
    for place in range(length):
        value_bytes[4 * end + place] = text[begin + place]
    return length // 4, begin + length


@compiled
def _take_key(text: UInt8s, at: Integer, words: tuple[bytes, ...]) -> tuple[Integer, Integer]:
    """Which of the words stands at ``at``, and where it ends; -1 where it is another."""
    length, begin = _string(text, at)
    if length < 0:
        return -1, at
    return _which(text, begin, length, words), begin + length


@compiled
def _take_index(text: UInt8s, at: Integer) -> tuple[Integer, Integer]:
    """A number from 0 on, and where it ends; -1 where it is something else."""
    head = np.int64(text[at]) if at < text.size else np.int64(0xC0)
    if head <= 0x7F:
        return head, at + 1
    width = 1 << (head - 0xCC) if 0xCC <= head <= 0xCE else 0
    if width == 0 or at + 1 + width > text.size:
        return -1, at
    return _number(text, at + 1, width), at + 1 + width


@compiled
def _take_places(text: UInt8s, at: Integer, columns: Columns, end: Integer) -> tuple[Integer, Integer]:
    """Copy the places of sparse features; how many, and where they end. -1 where it is something else."""
    count, at = _array(text, at)
    if count < 0 or end + count > columns.place.size:
        return -1, at
    for place in range(end, end + count):
        index, at = _take_index(text, at)
        if index < 0 or index >= MAX_FEATURE_WIDTH:
            return -1, at
        columns.place[place] = index
    return count, at


@compiled
def _take_sparse(
    text: UInt8s, at: Integer, columns: Columns, value_bytes: UInt8s, end: Integer
) -> tuple[Integer, Integer]:
    """Copy indices and values; how many, and where they end in the payload. -1 where it is something else."""
    count: Integer = np.int64(-1)
    values: Integer = np.int64(-1)
    key, at = _take_key(text, at + 1, _SPARSE_FIELDS)
    if key == 0:
        count, at = _take_places(text, at, columns, end)
    if count >= 0:
        key, at = _take_key(text, at, _SPARSE_FIELDS)
    if count >= 0 and key == 1:
        values, at = _take_values(text, at, value_bytes, end)
    return (count if values == count else np.int64(-1)), at


@compiled
def _take_features(
    text: UInt8s, at: Integer, event: Integer, columns: Columns, value_bytes: UInt8s, end: Integer
) -> Integer:
    if at < text.size and text[at] == 0x82:
        columns.form[event] = SPARSE
        columns.width[event], at = _take_sparse(text, at, columns, value_bytes, end)
    else:
        columns.form[event] = DENSE
        columns.width[event], at = _take_values(text, at, value_bytes, end)
    columns.first[event] = end
    return at if columns.width[event] >= 0 else -1


@compiled
def _take_field(
    text: UInt8s, at: Integer, field: Integer, event: Integer, columns: Columns, value_bytes: UInt8s, end: Integer
) -> Integer:
    """Note one field of an event; where it ends, -1 where it is not of the usual form."""
    of_edge = field == _ID and columns.kind[event] in (UPSERT_EDGE, REMOVE_EDGE)
    if field == _TYPE or of_edge:
        start, length = (ID_START, ID_LENGTH) if of_edge else (TYPE_START, TYPE_LENGTH)
        return _take_text(text, at, columns.types[start], columns.types[length], event)
    if field in (_ID, _SOURCE):
        return _take_text(text, at, columns.start, columns.length, 2 * event)
    if field in (_TARGET, _LABEL):
        return _take_text(text, at, columns.start, columns.length, 2 * event + 1)
    if field == _WEIGHT:
        at = _take_float(text, at, columns.weight, event)
        return at if 0 < columns.weight[event] <= MAX_WEIGHT else -1
    if field == _TS:
        at = _take_float(text, at, columns.time, event)
        return at if -MAX_TIME <= columns.time[event] <= MAX_TIME else -1
    return _take_features(text, at, event, columns, value_bytes, end)


@compiled
def _begin(text: UInt8s, at: Integer, columns: Columns, event: int) -> tuple[Integer, Integer]:
    """Note the kind of an event; how many fields follow, and where. -1 where it is not of the usual form."""
    columns.start[2 * event] = columns.start[2 * event + 1] = 0
    columns.length[2 * event] = columns.length[2 * event + 1] = 0
    columns.weight[event] = columns.time[event] = math.nan
    columns.form[event] = columns.first[event] = columns.width[event] = 0
    if at >= text.size or not 0x81 <= text[at] <= 0x8F:
        return -1, at
    fields = np.int64(text[at]) - 0x81
    key, at = _take_key(text, at + 1, _TAG_FIELD)
    kind, at = _take_key(text, at, _TAGS)
    columns.kind[event] = max(kind, 0)
    return (fields if key == 0 and kind >= 0 else np.int64(-1)), at


@compiled
def _walk(text: UInt8s, at: Integer, columns: Columns, value_bytes: UInt8s) -> bool:
    end = np.int64(0)
    for event in range(columns.kind.size):
        fields, at = _begin(text, at, columns, event)
        kind = columns.kind[event]
        seen: Integer = 0
        for _ in range(fields):
            field, at = _take_key(text, at, _FIELDS)
            if field < 0 or (seen >> field) & 1 or not (_ALLOWED[kind] >> field) & 1:
                return False
            seen |= 1 << field
            at = _take_field(text, at, field, event, columns, value_bytes, end)
            if at < 0:
                return False
        by_id = kind == REMOVE_EDGE and seen & (_EDGE | _NODE) == _NODE
        if fields < 0 or (seen & _NEEDED[kind] != _NEEDED[kind] and not by_id):
            return False
        end += columns.width[event]
    return bool(at == text.size)
