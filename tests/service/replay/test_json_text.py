"""JSON that is read value by value is the JSON that is read at once."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.replay import json_text
from service.replay.arrival_stream import UnreadableDataset
from service.replay.json_text import JsonText

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])


def _text(content: bytes) -> JsonText:
    return JsonText(io.BytesIO(content), content[:16], "some.json")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that values lie across the ends of blocks."""
    monkeypatch.setattr(json_text, "_BLOCK", 3)


@given(st.lists(VALUES), ENCODINGS, st.sampled_from([None, 1]), st.booleans())
def test_values_of_an_array_and_of_lines(
    values: list[Any], encoding: str, indent: int | None, ascii_only: bool
) -> None:
    array = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    text = _text(array.encode(encoding, errors="surrogatepass"))
    assert list(text.items()) == values
    text.end()
    lines = "\n".join(["", *(json.dumps(value) for value in values if not isinstance(value, list))])
    assert list(_text(lines.encode()).items()) == [value for value in values if not isinstance(value, list)]


@given(st.dictionaries(st.text(), VALUES), st.data())
def test_members_are_taken_or_skipped(whole: dict[str, Any], data: st.DataObject) -> None:
    text = _text(json.dumps(whole, indent=1).encode())
    found = {}
    for key in text.members():
        if data.draw(st.booleans()):
            found[key] = text.value()
        else:
            text.skip()
            found[key] = whole[key]
    text.end()
    assert found == whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n{"a": 1},\n{"a": }]', "line 3: not JSON"),
        (b'[\n{"a": 1}\n{"a": 2}]', "line 3: not JSON \\(',' or ']' must stand here"),
        (b'[{"a": 1}] 7', "line 1: not JSON \\(more follows"),
        (b'[{"a": 1}', "line 1: ends too early"),
        (b'{"a": 1}\n{"a', "line 2: ends too early"),
        (b"[" * 100_000, "values are nested too deeply|ends too early"),
        (b"[" + b"1" * 5_000 + b"]", "line 1: Exceeds the limit"),
        (b'["Jos\xe9"]', "after line 1: not whole UTF-8 .*: convert it, as with iconv"),
    ],
)
def test_what_is_no_json_is_named_by_line(content: bytes, message: str) -> None:
    def read() -> None:
        text = _text(content)
        list(text.items())
        text.end()

    with pytest.raises(UnreadableDataset, match=rf"^some.json, .*{message}") as error:
        read()
    assert "\n" not in str(error.value)
