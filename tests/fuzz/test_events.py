"""The fuzzer's target on seeds, on mutated seeds and on made-up JSON; `make fuzz` searches further."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.events import SEEDS, check


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds(seed: bytes) -> None:
    check(seed)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A seed with some bytes replaced, dropped or repeated."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 6))
        odd = st.sampled_from(
            [b'"', b"\\u", b"[", b"}", b"-", b"e9", b"1e400", b"NaN", b"null", b"\xff", b"\n", b"9" * 30]
        )
        data[at : at + cut] = draw(odd | st.binary(max_size=4))
    return bytes(data)


@given(mutated())
@settings(max_examples=300)
def test_mutated_seeds(data: bytes) -> None:
    check(data)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_events = st.dictionaries(
    st.sampled_from(["op", "id", "src", "dst", "x", "label", "weight", "ts", "indices", "values", "other"]),
    st.sampled_from(["upsert_node", "remove_node", "upsert_edge", "remove_edge", "label"]) | _values,
)


@given(st.lists(_events, max_size=4) | _values)
@settings(max_examples=300)
def test_made_up_json(value: object) -> None:
    check(json.dumps(value).encode())


def test_the_target_notices_a_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.events.MAX_ID_BYTES", 0)
    with pytest.raises(AssertionError):
        check(SEEDS[0])
