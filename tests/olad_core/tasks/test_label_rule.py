from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olad_core.tasks.label_rule import LabelRule, decide

CLASSES = ("a", "b", "c")
shares = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)


def plain(row: list[float], rule: LabelRule) -> str:
    """The label of one node, in plain Python."""
    chances = dict(zip(CLASSES, row, strict=True))
    reached = {name: chances[name] / least for name, least in rule.thresholds.items() if chances[name] >= least}
    if reached:
        return max(sorted(reached), key=lambda name: reached[name])
    others = [name for name in CLASSES if name not in rule.thresholds]
    if others:
        return max(others, key=lambda name: chances[name] * rule.costs.get(name, 1.0))
    return max(CLASSES, key=lambda name: chances[name] / rule.thresholds[name])


@given(
    st.lists(shares, min_size=1, max_size=5),
    st.dictionaries(st.sampled_from(CLASSES), st.sampled_from([0.125, 0.25, 0.5, 1.0])),
    st.dictionaries(st.sampled_from(CLASSES), st.sampled_from([0.5, 2.0, 16.0])),
)
def test_the_label_is_that_of_plain_python(
    rows: list[list[float]], thresholds: dict[str, float], costs: dict[str, float]
) -> None:
    rule = LabelRule(thresholds, {name: cost for name, cost in costs.items() if name not in thresholds})
    found = decide(np.array(rows), rule.table(CLASSES))
    assert [CLASSES[place] for place in found.tolist()] == [plain(row, rule) for row in rows]


def test_without_a_rule_it_is_the_likeliest_class() -> None:
    rule = LabelRule()
    assert not rule
    rows = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    assert decide(rows, rule.table(CLASSES)).tolist() == rows.argmax(axis=1).tolist()


def test_a_threshold_is_reached_by_the_probability_that_it_was_taken_of() -> None:
    row = np.array([[0.9, 0.1]], dtype=np.float32)
    rule = LabelRule(thresholds={"b": float(row[0, 1])})
    assert decide(row, rule.table(("a", "b"))).tolist() == [1]
