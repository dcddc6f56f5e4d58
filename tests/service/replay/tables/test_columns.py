"""Columns of every type as ids, classes, numbers and times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.replay.tables.table import BadValue
from service.replay.tables.times import Unit, UnitFinder, times
from service.replay.tables.values import MISSING, categories, ids, numbers, texts, written_otherwise

MOMENT = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array(["a", " b ", "", None]), ["a", "b", None, None]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array([1, None]), ["1", None]),
        (pa.array([1.0, None, float("nan")]), ["1", None, None]),
        (pa.array([Decimal("7.00")]), ["7"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([None]), [None]),
        (pa.array([date(2024, 1, 2)]), ["2024-01-02"]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_texts_of_every_type(column: Any, found: list[str | None]) -> None:
    assert texts(column) == found


@pytest.mark.parametrize("value", [1.5, 2.0**60, float("inf")])
def test_a_number_that_is_not_whole_names_nothing(value: float) -> None:
    with pytest.raises(BadValue, match="names nothing") as error:
        texts(pa.array([1.0, value]))
    assert error.value.row == 1


def test_what_names_nothing_is_refused() -> None:
    for column in (pa.array([b"\x00"]), pa.array([MOMENT])):
        with pytest.raises(BadValue, match="name nothing"):
            texts(column)


def test_ids_have_their_prefix_and_none_is_missing() -> None:
    assert ids(pa.array([1, 2]), "p-") == ["p-1", "p-2"]
    assert ids(pa.array(["NA"])) == ["NA"], "a name like any other"
    with pytest.raises(BadValue, match="missing"):
        ids(pa.array(["a", None]))


@given(st.lists(st.one_of(st.sampled_from(MISSING), st.floats(-1e30, 1e30), st.integers(-(10**15), 10**15))))
def test_numbers_in_text_are_the_numbers(values: list[Any]) -> None:
    found, missing = numbers(pa.array([str(value) for value in values], pa.string()))
    known = [None if isinstance(value, str) else float(value) for value in values]
    assert missing.tolist() == [value is None for value in known]
    assert found.tolist() == [0.0 if value is None else value for value in known]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array([1, 2], pa.int8()), [1.0, 2.0]),
        (pa.array([True, False]), [1.0, 0.0]),
        (pa.array(["true", "False", "1"]), [1.0, 0.0, 1.0]),
        (pa.array([Decimal("1.25")]), [1.25]),
        (pa.array([0.5], pa.float16()), [0.5]),
        (pa.array(["1.5", "1.5"]).dictionary_encode(), [1.5, 1.5]),
        (pa.array([" 1.5 ", "1e3"]), [1.5, 1000.0]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_numbers_of_every_type(column: Any, found: list[float]) -> None:
    values, missing = numbers(column)
    assert values.tolist() == found
    assert not missing.any()


@pytest.mark.parametrize("text", ["1_000", "1,5", "0x1F", "12 %", "a"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="is no number") as error:
        numbers(pa.array(["1", text, "2"]))
    assert error.value.row == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1,234", "1234"), ("1,234,567.5", "1234567.5"), ("1'234.5", "1234.5"), ("1 234,5", "1234.5")),
        *(
            ("1,5", "1.5"),
            ("12,00", "12.00"),
            ("1.234.567,5", "1234567.5"),
            ("-1,5", "-1.5"),
            ("\N{MINUS SIGN}6", "-6"),
        ),
        *(("$5.00", "5.00"), ("5 EUR", "5"), ("EUR 5", "5"), ("CHF1'000", "1000"), ("(5.00)", "-5.00"), ("7%", "7")),
        *(
            ("a,b", None),
            ("1,2,3", None),
            ("12,34,56", None),
            ("DE 12 X", None),
            ("1-2", None),
            ("USD", None),
            ("5", None),
        ),
    ],
)
def test_how_a_number_is_to_be_written(text: str, number: str | None) -> None:
    assert written_otherwise(text) == number


def test_missing_names() -> None:
    assert categories(pa.array([*MISSING, "a"])) == [*[None] * len(MISSING), "a"]


FORMS = [
    "2024-02-29T12:30:15.250000+00:00",
    "2024-02-29T12:30:15.25Z",
    "2024-02-29 12:30:15.250",
    "2024-02-29T12:30:15,250000",
    "20240229T123015.250Z",
    "2024-W09-4T12:30:15.250",
    "2024-02-29T14:30:15.250+02:00",
    "2024-02-29 12:30:15.25 UTC",
    "2024-02-29 12:30:15.25 Z",
    "2024-02-29 14:30:15.25 +0200",
    "2024-02-29 14:30:15.25+02",
]


@pytest.mark.parametrize("text", FORMS)
def test_every_iso_form_is_the_same_moment(text: str) -> None:
    seconds, missing = times(pa.array([text, ""]), "iso")
    assert seconds[0] == MOMENT.timestamp()
    assert missing.tolist() == [False, True]


@pytest.mark.parametrize("text", ["2024-02-29", "20240229", "2024-060", "2024060", "2024-W09-4"])
def test_every_iso_form_of_a_day_is_the_same_moment(text: str) -> None:
    seconds, _ = times(pa.array([text]), "iso")
    assert seconds[0] == datetime(2024, 2, 29, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array([MOMENT], pa.timestamp(unit, "UTC")) for unit in ("ms", "us", "ns")),
        pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us")),
        pa.array([MOMENT.astimezone(timezone(timedelta(hours=5)))], pa.timestamp("us", "Asia/Karachi")),
    ],
    ids=lambda column: str(column.type),
)
def test_dates_of_arrow_have_their_own_unit(column: Any) -> None:
    finder = UnitFinder()
    finder.take(column)
    seconds, missing = times(column, finder.unit())
    assert seconds.tolist() == [MOMENT.timestamp()]
    assert not missing.any()


def test_days_of_arrow() -> None:
    for kind in (pa.date32(), pa.date64()):
        seconds, _ = times(pa.array([date(1970, 1, 3)], kind), "iso")
        assert seconds.tolist() == [2 * 86_400.0]


@given(st.integers(100_000_001, 99_999_999_999), st.sampled_from(["s", "ms", "us", "ns"]), st.booleans())
def test_the_unit_of_an_epoch_is_recognised(second: int, unit: str, text: bool) -> None:
    ticks = second * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if ticks >= 2**63:
        return
    column = pa.array([str(ticks)]) if text else pa.array([ticks])
    finder = UnitFinder()
    finder.take(column)
    if text and len(str(ticks)) == 8:
        return
    assert finder.unit() == unit
    assert times(column, finder.unit())[0][0] == pytest.approx(second, rel=1e-12)


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([2010, 2011], "own"),
        ([1, 49], "own"),
        (["20240229", "20240301"], "iso"),
        ([20240229, 20240301], "iso"),
        (["99999999"], "own"),
        (["", "NaT"], "iso"),
    ],
)
def test_other_numbers_are_left_as_they_are(values: list[Any], unit: Unit) -> None:
    finder = UnitFinder()
    finder.take(pa.array(values))
    assert finder.unit() == unit


def test_a_stated_unit() -> None:
    assert times(pa.array([1, 2]), "d")[0].tolist() == [86_400.0, 172_800.0]
    assert times(pa.array([1.5]), "own")[0].tolist() == [1.5]
    with pytest.raises(BadValue, match="beyond the greatest time"):
        times(pa.array([1e30]), "d")
    np.testing.assert_array_equal(times(pa.array(["5", ""]), "s")[1], [False, True])
