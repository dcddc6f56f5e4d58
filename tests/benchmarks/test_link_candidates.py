"""How many of the best partners are found where some candidates are scored."""

from __future__ import annotations

from benchmarks.link_candidates import generated, measured


def test_it_compares_lists_of_all_candidates_with_those_of_some() -> None:
    found = measured(generated(0.02), lists=5)
    assert found["lists"] == 5
    assert found["scored_some"] <= 200 < found["scored_all"]
    assert 0.2 <= found["recall"] <= 1
