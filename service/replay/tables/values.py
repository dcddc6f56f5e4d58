"""Columns of a table as ids, classes and numbers: what fits its use is converted, the rest is refused by row."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from olad_core.events import FLOAT32_MAX, MAX_ID_BYTES
from service.replay.tables.table import BadValue

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "None", "none", "<NA>", "#N/A", "NaT", "?")
"""Texts that stand for a value that is missing, in a column of numbers, categories, classes or times."""
_MISSING = frozenset(MISSING)
_BOOLEANS = {"true": 1.0, "false": 0.0}
_EXACT = 2**53
_SIGNS = re.compile(r"[\s_€$£¥%]|^[A-Z]{3}(?=[\s\d+-])|(?<=[\s\d])[A-Z]{3}$")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[,'’]\d{3})+(?:\.\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[.'’]\d{3})+),\d+")

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def texts(column: Any, *, exact: bool = False) -> list[str | None]:
    """Values as text, without spaces around them; None where one is missing, which an empty text is too.

    Args:
        column: of any type whose values name something.
        exact: keep the spaces.

    Whole numbers are written without a fraction, also where they are stored as floats, as pandas does with missing
    ones.

    Raises:
        BadValue: a value has no text that names something.
    """
    column = plain(column)
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [_whole(row, value) for row, value in enumerate(column.to_pylist())]
    if pa.types.is_boolean(kind):
        return [None if value is None else str(value).lower() for value in column.to_pylist()]
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        raise BadValue(0, f"values of type {kind} name nothing: use a column of text or whole numbers")
    values = column if is_text(kind) else column.cast(pa.string())
    if exact:
        return [text or None for text in values.to_pylist()]
    return [text.strip() or None if text is not None else None for text in values.to_pylist()]


def ids(column: Any, prefix: str = "", *, exact: bool = False, of: str = "a node") -> list[str]:
    """Values as ids.

    Args:
        column: of ids.
        prefix: before each.
        exact: spaces around an id are a part of it.
        of: what they are ids of, for messages.

    Raises:
        BadValue: a value is missing, or too long.
    """
    found = texts(column, exact=exact)
    for row, text in enumerate(found):
        if text is None:
            raise BadValue(row, f"the id of {of} is missing: fill it in, or leave the row out")
        if len(text) + len(prefix) > MAX_ID_BYTES // 4 and len((prefix + text).encode()) > MAX_ID_BYTES:
            raise BadValue(row, f"an id of {len((prefix + text).encode())} bytes: {MAX_ID_BYTES} at most")
    return [prefix + text for text in found if text is not None]


def categories(column: Any, *, exact: bool = False) -> list[str | None]:
    """Values as names of classes or categories; None where one is missing (:data:`MISSING`).

    Args:
        column: of names.
        exact: only an empty text is a missing one.

    Raises:
        BadValue: a name is too long.
    """
    found = texts(column, exact=exact)
    if not exact:
        found = [None if text in _MISSING else text for text in found]
    for row, text in enumerate(found):
        if text is not None and len(text) > MAX_ID_BYTES // 4 and len(text.encode()) > MAX_ID_BYTES:
            raise BadValue(row, f"a name of {len(text.encode())} bytes: {MAX_ID_BYTES} at most")
    return found


def numbers(column: Any) -> tuple[Floats, Mask]:
    """Values as numbers ``[N]``, 0 where one is missing, and a mask ``[N]`` of those.

    Numbers in text are read; ``true`` and ``false`` are 1 and 0.

    Raises:
        BadValue: a value is no number, or not finite in float32.
    """
    column = plain(column)
    kind = column.type
    if is_text(kind):
        values = _text_numbers(column)
    elif pa.types.is_boolean(kind):
        values = column.cast(pa.int8()).cast(pa.float64())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        values = column.cast(pa.float64(), safe=False)
    else:
        raise BadValue(0, f"values of type {kind} are no numbers: leave the column out, or convert it")
    array: Floats = pc.fill_null(values, float("nan")).to_numpy(zero_copy_only=False).astype(np.float64)
    missing: Mask = np.isnan(array)
    with np.errstate(invalid="ignore"):
        outside = np.flatnonzero(np.abs(array) > FLOAT32_MAX)
    if len(outside):
        row = int(outside[0])
        raise BadValue(row, f"{array[row]:g} is not finite in float32: leave it empty, or scale the column")
    return np.where(missing, 0.0, array), missing


def missing_of(column: Any) -> Mask:
    """Where a value of features is missing ``[N]``, whatever the others are."""
    column = plain(column)
    if is_text(column.type):
        trimmed = pc.utf8_trim_whitespace(column)
        gone = pc.or_kleene(pc.is_null(trimmed), pc.is_in(trimmed, value_set=pa.array(MISSING, trimmed.type)))
    else:
        gone = pc.is_null(column, nan_is_null=True)
    mask: Mask = gone.to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask


def reads_as_number(text: str) -> bool:
    """Whether a text is a number."""
    return _number(text) is not None


def written_otherwise(text: str) -> str | None:
    """How a number is to be written that has separators of thousands, a decimal comma or signs; None for other texts.

    >>> written_otherwise("€ 1,234.50"), written_otherwise("12,5"), written_otherwise("(5)"), written_otherwise("a,b")
    ('1234.50', '12.5', '-5', None)
    """
    bare = _SIGNS.sub("", text.replace("\N{MINUS SIGN}", "-"))
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    if _GROUPED.fullmatch(bare):
        bare = re.sub(r"[,'’]", "", bare)
    elif _DECIMAL_COMMA.fullmatch(bare):
        bare = re.sub(r"[.'’]", "", bare).replace(",", ".")
    return bare if bare != text and _number(bare) is not None and bare.lower() not in _BOOLEANS else None


def is_number_type(kind: Any) -> bool:
    """Whether a type of column holds numbers."""
    types = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_type(kind) for is_type in types)


def plain(column: Any) -> Any:
    """The column without the dictionary that its values may be numbers of."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def is_text(kind: Any) -> bool:
    """Whether a type of column holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _whole(row: int, value: Any) -> str | None:
    if value is None or math.isnan(value):
        return None
    if abs(value) > _EXACT or value != int(value):
        raise BadValue(row, f"{value} names nothing, for it is no whole number: use a column of text or whole numbers")
    return str(int(value))


def _text_numbers(column: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(column)
    known = pc.if_else(pc.is_in(trimmed, value_set=pa.array(MISSING, trimmed.type)), None, trimmed)
    try:
        return known.cast(pa.float64())
    except pa.ArrowInvalid:
        return pa.array([_parsed(row, text) for row, text in enumerate(known.to_pylist())], pa.float64())


def _parsed(row: int, text: str | None) -> float | None:
    if text is None:
        return None
    number = _number(text)
    if number is None:
        bare = written_otherwise(text)
        hint = ", as the other values are" if bare is None else f": write it without signs, as {bare}"
        raise BadValue(row, f"{text[:60]!r} is no number{hint}")
    return number


def _number(text: str) -> float | None:
    # Python reads 1_000 as a number; files do not mean that.
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return _BOOLEANS.get(text.strip().lower())
