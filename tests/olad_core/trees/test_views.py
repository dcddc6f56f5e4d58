"""Which columns a forest sees, by what it is worth on rows that are held out."""

from __future__ import annotations

import numpy as np
import pytest

from olad_core.config import AVERAGED
from olad_core.graph.arrays import Float32s, Int64s
from olad_core.trees.forest import Forest
from olad_core.trees.growth import Growth, GrowthConfig
from olad_core.trees.table import STRUCTURE
from olad_core.trees.views import FEWEST_ROWS, ROUNDS, ChosenGrowth, held_out

FEATURES, CLASSES, NODES = 10, 2, 1_200
CONFIG = GrowthConfig(rounds=24)
MEANS = slice(FEATURES, 2 * FEATURES)


def table(seed: int, features: int = FEATURES, rows: int = NODES) -> Float32s:
    """Columns of noise."""
    return np.random.default_rng(seed).normal(size=(rows, 2 * features + STRUCTURE + CLASSES)).astype(np.float32)


def by_own_features(rows: Float32s) -> Int64s:
    """A class that two own features decide together."""
    return np.where(rows[:, 0] * rows[:, 1] > 0, 1, 0)


def by_means(rows: Float32s) -> Int64s:
    """A class that the neighbours' features decide."""
    return np.where(rows[:, MEANS].sum(axis=1) > 0, 1, 0)


def grown(growth: ChosenGrowth | Growth) -> Forest:
    """The whole forest."""
    while not growth.advance():
        pass
    return growth.forest()


def columns_of(forest: Forest) -> set[int]:
    """Those that any split looks at."""
    return set(forest.column[forest.left >= 0].tolist())


def test_where_own_features_decide_no_tree_sees_the_means() -> None:
    rows = table(0)
    forest = grown(ChosenGrowth(rows, by_own_features(rows), CLASSES, FEATURES, CONFIG))
    assert not columns_of(forest) & set(range(FEATURES, 2 * FEATURES))
    other = table(1)
    assert (forest.probabilities(other).argmax(axis=1) == by_own_features(other)).mean() > 0.9


def test_where_the_means_decide_each_round_sees_them() -> None:
    rows = table(0)
    chosen = grown(ChosenGrowth(rows, by_means(rows), CLASSES, FEATURES, CONFIG))
    whole = grown(Growth(rows, by_means(rows), CLASSES, FEATURES, CONFIG, "all"))
    assert chosen.probabilities(table(1)).tobytes() == whole.probabilities(table(1)).tobytes()


@pytest.mark.parametrize(
    ("features", "rows"), [(FEATURES, FEWEST_ROWS - 1), (AVERAGED + 1, FEWEST_ROWS + 1), (0, NODES)]
)
def test_few_rows_and_rows_without_means_are_not_compared(features: int, rows: int) -> None:
    some = table(0, features, rows)
    chosen = ChosenGrowth(some, np.arange(rows) % CLASSES, CLASSES, features, CONFIG)
    usual = Growth(some, np.arange(rows) % CLASSES, CLASSES, features, CONFIG)
    assert grown(chosen).probabilities(some).tobytes() == grown(usual).probabilities(some).tobytes()


def test_a_comparison_has_no_trees_and_takes_one_round_at_a_time() -> None:
    rows = table(0)
    growth = ChosenGrowth(rows, by_means(rows), CLASSES, FEATURES, CONFIG)
    with pytest.raises(RuntimeError, match="compared"):
        growth.forest()
    rounds = 1
    while not growth.advance():
        rounds += 1
    assert rounds == 2 * min(ROUNDS, CONFIG.rounds // 4) + CONFIG.rounds


def test_the_same_rows_lead_to_the_same_trees() -> None:
    rows = table(0)
    forests = [grown(ChosenGrowth(rows, by_own_features(rows), CLASSES, FEATURES, CONFIG)) for _ in range(2)]
    assert len({forest.probabilities(rows).tobytes() for forest in forests}) == 1


def test_a_class_that_only_held_out_rows_have_is_no_error() -> None:
    rows = table(0, rows=FEWEST_ROWS)
    label = held_out(FEWEST_ROWS, CONFIG.seed).astype(np.int64)
    forest = grown(ChosenGrowth(rows, label, CLASSES, FEATURES, CONFIG))
    assert np.isfinite(forest.probabilities(rows)).all()
