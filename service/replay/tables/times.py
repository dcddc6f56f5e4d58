"""Columns of times as seconds since 1970, where they are dates, and as they are, where they are other numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from olad_core.events import MAX_TIME
from service.replay.label_delay import EPOCH_UNITS, epoch_unit
from service.replay.tables.table import BadValue
from service.replay.tables.values import MISSING, Floats, Mask, numbers, plain, reads_as_number, texts

Unit = Literal["iso", "s", "ms", "us", "ns", "d", "own"]
SECONDS: dict[str, float] = EPOCH_UNITS | {"d": 86_400.0, "own": 1.0}
"""Seconds in one of each unit of numbers; numbers that are no dates stay as they are."""
_DAY = re.compile(r"(?a:(?:19|20)\d{6})")
_ZONE = re.compile(r"(?<=\d) ?(?:UTC|GMT|Z)$|(?<=\d) ([+-]\d\d(?::?\d\d)?)$")
"""Zones as databases write them: ``10:00 UTC``, ``10:00 +0100``."""
_OTHER_FORMS = ("%Y-%m", "%Y-%j", "%Y%j")
"""Forms of ISO 8601 that ``datetime.fromisoformat`` does not read: a month, and days of a year."""


def times(column: Any, unit: Unit) -> tuple[Floats, Mask]:
    """Times ``[N]``, 0 where one is missing, and a mask ``[N]`` of those.

    Dates are seconds since 1970 in UTC; those without a zone are taken for UTC.

    Args:
        column: dates, text, or numbers.
        unit: of text and numbers; dates of Arrow have their own.

    Raises:
        BadValue: a value is no time.
    """
    column = plain(column)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        moments = column.cast(pa.timestamp("ms")) if pa.types.is_date(kind) else column
        ticks = pc.fill_null(moments.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return ticks * EPOCH_UNITS[moments.type.unit], column.is_null().to_numpy(zero_copy_only=False)
    if unit == "iso":
        found = [None if text in MISSING else text for text in texts(column)]
        seconds = np.array([0.0 if text is None else _seconds(row, text) for row, text in enumerate(found)])
        return seconds, np.array([text is None for text in found], np.bool_)
    values, missing = numbers(column)
    values = values * SECONDS[unit]
    outside = np.flatnonzero(np.abs(values) > MAX_TIME)
    if len(outside):
        raise BadValue(int(outside[0]), f"{values[outside[0]]:g} is beyond the greatest time, {MAX_TIME:g}")
    return values, missing


class UnitFinder:
    """Recognises the unit of a column of times by its values."""

    def __init__(self) -> None:
        self._first: str | None = None
        self._least, self._greatest = np.inf, -np.inf

    def take(self, column: Any) -> None:
        """Take in the next part of the column.

        Raises:
            BadValue: the first value is a number and another one is not.
        """
        column = plain(column)
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            return
        if self._first is None:
            self._first = next((text for text in texts(column.slice(0, 1_000)) if text not in {None, *MISSING}), None)
        if self.is_text():
            return
        values, missing = numbers(column)
        known = values[~missing]
        self._least = min(self._least, known.min(initial=np.inf))
        self._greatest = max(self._greatest, known.max(initial=-np.inf))

    def unit(self) -> Unit:
        """The unit.

        Raises:
            ValueError: no one unit makes dates of all values; the message says what to do.
        """
        if self.is_text():
            return "iso"
        least, greatest = epoch_unit(self._least), epoch_unit(self._greatest)
        if least != greatest:
            raise ValueError(
                f"times go from {self._least:g} to {self._greatest:g}, which are no dates since 1970 in one unit: "
                "state it with --time-unit (s, ms, us, ns, d; own for numbers that are no dates)"
            )
        return least or "own"  # type: ignore[return-value]

    def is_text(self) -> bool:
        """Whether the values are dates, by the first one; eight digits that are a day are one."""
        if self._first is None:
            return True
        if _DAY.fullmatch(self._first):
            return _moment(self._first) is not None
        return not reads_as_number(self._first)


def _seconds(row: int, text: str) -> float:
    moment = _moment(text)
    if moment is None:
        raise BadValue(row, f"{text[:60]!r} is no date of ISO 8601: write 2024-12-31 or 2024-12-31T23:59:59+01:00")
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _moment(text: str) -> datetime | None:
    text = _ZONE.sub(lambda zone: zone[1] or "+00:00", text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _OTHER_FORMS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
