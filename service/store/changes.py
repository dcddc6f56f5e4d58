"""Changes of what is served, as they stand in Redis: a bounded stream of CloudEvents, in the order of the log.

The id of a change is the position of its publication and a number: ``1700000000000-3.7``. In Redis both are one id of
the stream, so that any of them is found without an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from olad_core.judging.decisions import Decision
from service.store.keys import Keys
from service.store.positions import PositionPair, parse_position
from service.variant_names import DEFAULT_VARIANT

LABEL_CHANGED = "label-changed"
NOT_LISTED = "labels-not-listed"
RULE_CHANGED = "rule-changed"
DECISION = "decision"
TYPES = (LABEL_CHANGED, NOT_LISTED, RULE_CHANGED, DECISION)
"""Types of changes; as CloudEvents they begin with ``olad.``."""
PREFIX = "olad."
_NUMBER_BITS = 20
_NUMBERS = 1 << _NUMBER_BITS
_LAST_MS = 253_402_300_799_999
"""The last millisecond that has a date."""


@dataclass(frozen=True)
class Change:
    """One change, before it has an id.

    Attributes:
        type: one of :data:`TYPES`.
        data: what has changed; JSON can hold it.
        subject: the node it is about; None where it is about the graph.
    """

    type: str
    data: Mapping[str, Any]
    subject: str | None = None


def decided(decision: Decision) -> Change:
    """The change that a decision is."""
    values = asdict(decision)
    version = values.pop("version")
    return Change(DECISION, values | {"model_version": version})


def stream_id(position: PositionPair, number: int) -> PositionPair:
    """The id in Redis of a change.

    >>> change_id(stream_id((7, 2), 3))
    '7-2.3'
    """
    return position[0], (position[1] << _NUMBER_BITS) + number


def next_id(position: PositionPair, last: PositionPair | None) -> PositionPair:
    """The id in Redis of the next change of a publication at a position, after the last one of all.

    The numbers of a position begin with 1: 0 is before its first change.
    """
    first = stream_id(position, 1)
    return first if last is None or last < first else (last[0], last[1] + 1)


def unknown_before(position: PositionPair) -> PositionPair:
    """An id in Redis that is later than all changes at a position that a reader may have seen."""
    return stream_id(position, _NUMBERS // 2)


def change_id(found: PositionPair) -> str:
    """The id that readers see of one in Redis."""
    sequence, number = divmod(found[1], _NUMBERS)
    return f"{found[0]}-{sequence}.{number}"


def parse_after(text: str) -> PositionPair:
    """The id in Redis after which to continue. After a position alone, that is with the first change at it.

    A prediction of that position may have been read before its last change.

    >>> parse_after("7-2.3") == stream_id((7, 2), 3), parse_after("7-2") < next_id((7, 2), None)
    (True, True)

    Raises:
        ValueError: where the text is neither an id of a change nor a position.
    """
    position, dot, number = text.partition(".")
    if not dot:
        number = "0"
    at = parse_position(position)
    if not number.isascii() or not number.isdigit() or int(number) >= _NUMBERS or at[1] >= 2**64 >> _NUMBER_BITS:
        raise ValueError(f"{text!r} is no id of a change: it is a position, a point and a number")
    return stream_id(at, int(number))


def cloud_event(change: Change, at: PositionPair, position: str, keys: Keys) -> bytes:
    """A change as CloudEvents' JSON.

    The source names the variant, unless that is the default one: each numbers its own changes.
    """
    variant = "" if keys.variant == DEFAULT_VARIANT else f":variant:{keys.variant}"
    milliseconds = parse_position(position)[0]
    time = datetime.fromtimestamp(min(milliseconds, _LAST_MS) / 1000, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": change_id(at),
            "source": f"urn:olad:graph:{keys.graph}{variant}",
            "type": f"{PREFIX}{change.type}",
            **({} if change.subject is None else {"subject": change.subject}),
            "time": time,
            "datacontenttype": "application/json",
            "position": position,
            "data": change.data,
        }
    )
