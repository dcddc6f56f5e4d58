from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.graph import text_table
from olad_core.graph.text import pack, unpack
from olad_core.graph.text_loops import siphash
from olad_core.graph.text_table import TextTable, slices_of

texts = st.lists(st.sampled_from(["", "a", "ab", "\0", "ü", "x" * 300, "node 1", "node 2"]) | st.text(max_size=12))


def test_the_hash_is_that_of_cpython() -> None:
    samples = ["x" * length for length in range(1, 40)] + ["é", "node 17", "\0"]
    program = f"import json; print(json.dumps([hash(each.encode()) for each in {samples!r}]))"
    environment = {**os.environ, "PYTHONHASHSEED": "0"}  # a key of zeros
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert sys.hash_info.algorithm == "siphash13"
    for sample, expected in zip(samples, json.loads(answer), strict=True):
        text = np.frombuffer(sample.encode(), np.uint8)
        assert int(siphash(text, 0, text.size, np.zeros(2, np.uint64))) == expected % 2**64


@settings(max_examples=200)
@given(st.lists(st.tuples(texts, texts), max_size=6), st.booleans())
def test_it_does_what_a_dict_does(steps: list[tuple[list[str], list[str]]], compacting: bool) -> None:
    table = TextTable()
    model: dict[str, int] = {}
    least, text_table.FEWEST_GIVEN_BACK = text_table.FEWEST_GIVEN_BACK, 0 if compacting else 65_536
    try:
        for added, erased in steps:
            numbers, new = table.intern(slices_of(*pack(added)))
            fresh = [text for text in dict.fromkeys(added) if text and text not in model]
            assert unpack(*table.bytes_of(new)) == fresh
            model |= dict(zip(fresh, new.tolist(), strict=True))
            assert numbers.tolist() == [model.get(text, -1) for text in added]
            assert len(set(model.values())) == len(model)
            gone = table.find(slices_of(*pack(erased)))
            assert gone.tolist() == [model.get(text, -1) for text in erased]
            table.erase(gone[gone >= 0])
            for text in erased:
                model.pop(text, None)
            assert table.count == len(model)
            assert unpack(*table.bytes_of(np.array([*model.values(), -1], np.int64))) == [*model, ""]
    finally:
        text_table.FEWEST_GIVEN_BACK = least


def test_many_texts_that_come_and_go_take_no_more_memory() -> None:
    table, sizes = TextTable(), []
    for turn in range(60):
        numbers, _ = table.intern(slices_of(*pack(f"text {turn} {number}" for number in range(3000))))
        sizes.append(sum(array.nbytes for array in table._texts))
        table.erase(numbers)
    assert table.count == 0
    assert max(sizes[20:]) <= max(sizes[:20])


def test_texts_are_found_among_many() -> None:
    table = TextTable()
    names = [str(number) for number in range(50_000)]
    numbers, new = table.intern(slices_of(*pack(names)))
    assert new.tolist() == numbers.tolist() == list(range(50_000))
    table.erase(numbers[::2])
    found = table.find(slices_of(*pack(names)))
    assert found[1::2].tolist() == numbers[1::2].tolist()
    assert (found[::2] == -1).all()
