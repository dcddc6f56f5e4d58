"""What a forest finds in a table."""

from __future__ import annotations

import numpy as np

from olad_core.graph.arrays import Float32s, Int64s
from olad_core.trees.growth import Growth
from olad_core.trees.table import STRUCTURE

FEATURES, NODES = 10, 2_000


def tables(seed: int) -> tuple[Float32s, Int64s]:
    """A class that the product of two own features decides, beside means of neighbours and other columns of noise."""
    table = np.random.default_rng(seed).normal(size=(NODES, 2 * FEATURES + STRUCTURE + 2)).astype(np.float32)
    return table, (table[:, 0] * table[:, 1] > 0).astype(np.int64)


def test_finds_a_product_of_two_features_among_many_columns() -> None:
    growth = Growth(*tables(0), classes=2, features=FEATURES)
    while not growth.advance():
        pass
    table, label = tables(1)
    assert (growth.forest().probabilities(table).argmax(axis=1) == label).mean() > 0.9


def test_every_second_round_does_not_see_the_means_of_the_neighbours() -> None:
    table, _ = tables(0)
    means = slice(FEATURES, 2 * FEATURES)
    growth = Growth(table, (table[:, means].sum(axis=1) > 0).astype(np.int64), classes=2, features=FEATURES)
    growth.advance(6)
    forest = growth.forest()
    # Two classes have two trees a round; each tree ends where the next one begins.
    columns = np.split(np.where(forest.left < 0, -1, forest.column), forest.root[1:])
    seen = [bool(((tree >= FEATURES) & (tree < 2 * FEATURES)).any()) for tree in columns]
    assert seen == 3 * [True, True, False, False]
