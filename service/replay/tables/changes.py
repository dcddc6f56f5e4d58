"""Change events of Debezium as rows: https://debezium.io/documentation/reference/stable/connectors/postgresql.html."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from olad_core.errors import OladError

Change = Literal["arrives", "updates", "leaves", "unlinks"]
"""What a row reports: that it is new, that it has other values, that it is gone, or that its edges are."""

OPERATIONS = ("c", "r", "u", "d", "t", "m")
"""What ``op`` may be: create, read of a snapshot, update, delete, truncate, message."""


class WrongChange(OladError, ValueError):
    """A message that is no change of a row; the text states what to do."""


@dataclass(frozen=True)
class ChangeKeys:
    """Columns by which a row is found again.

    Attributes:
        keys: what its node or its edge is known by.
        ends: of the nodes that it joins.
    """

    keys: tuple[str, ...]
    ends: tuple[str, ...]


def changes_of(message: Any, columns: ChangeKeys) -> Iterator[tuple[Change, dict[str, Any]]]:
    """The rows that one message reports.

    It may stand in an envelope of schema and payload, and be flattened by ``ExtractNewRecordState``. A tombstone
    reports nothing. A row has ``ts_ms`` and ``source`` of its message beside its own columns.

    Args:
        message: as it was decoded.
        columns: by which an update of the ends, and a removal, find what was there before.

    Raises:
        WrongChange: it is none, or does not name what it removes.

    >>> list(changes_of({"op": "d", "before": {"id": 7}, "after": None}, ChangeKeys(("id",), ())))
    [('leaves', {'id': 7})]
    """
    message = _payload(message)
    if message is None:
        return
    if "op" not in message:
        yield from _flattened(message, columns)
        return
    op, before, after = message["op"], message.get("before"), message.get("after")
    beside = {key: message[key] for key in ("ts_ms", "source") if key in message}
    if op in {"c", "r", "u"}:
        if not isinstance(after, dict):
            raise WrongChange(f"op {op!r} without 'after', the row as it is now")
        if op == "u" and isinstance(before, dict) and _joined_others(before, after, columns.ends):
            yield "unlinks", before
        yield "updates" if op == "u" else "arrives", beside | after
    elif op == "d":
        yield "leaves", _removed(before, columns)
    elif op == "t":
        raise WrongChange("op 't' empties the table, which no event expresses: write a removal for each row")
    elif op != "m":  # A message of an application reports no row.
        raise WrongChange(f"op {op!r} is none of c, r, u, d")


def field(row: Any, column: str) -> Any:
    """The value of a column; a field of a nested one is named as ``payer.id``. None where it is not there.

    >>> field({"payer": {"id": 7}}, "payer.id")
    7
    """
    if not isinstance(row, dict):
        return None
    if column in row:
        return row[column]
    outer, dot, inner = column.partition(".")
    return field(row.get(outer), inner) if dot else None


def _payload(message: Any) -> dict[str, Any] | None:
    if isinstance(message, dict) and "payload" in message and "op" not in message:
        message = message["payload"]
    if message is None:
        return None
    if not isinstance(message, dict):
        raise WrongChange("no change event of Debezium: write the value of each message as a JSON object")
    return message


def _flattened(message: dict[str, Any], columns: ChangeKeys) -> Iterator[tuple[Change, dict[str, Any]]]:
    if "__deleted" not in message and "__op" not in message:
        raise WrongChange("no change event of Debezium: it has neither 'op' nor '__deleted'")
    if str(message.get("__deleted")).lower() == "true" or message.get("__op") == "d":
        yield "leaves", _removed(message, columns)
    else:
        yield "updates" if message.get("__op") == "u" else "arrives", message


def _removed(row: Any, columns: ChangeKeys) -> dict[str, Any]:
    for key in columns.keys:
        if field(row, key) is None:
            raise WrongChange(
                f"a row is removed without its {key!r}: let the database log whole rows (Postgres: ALTER TABLE ... "
                "REPLICA IDENTITY FULL)"
            )
    assert isinstance(row, dict), "it has fields"
    return row


def _joined_others(before: dict[str, Any], after: dict[str, Any], ends: tuple[str, ...]) -> bool:
    """Whether a row joined other nodes before, as far as its message has them."""
    earlier = [field(before, end) for end in ends]
    return any(value is not None and value != field(after, end) for value, end in zip(earlier, ends, strict=True))
