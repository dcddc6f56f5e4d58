"""A table whose rows are joined at random: the class depends on a node's own features, by thresholds and a product."""

from __future__ import annotations

import numpy as np

from benchmarks.learning.blocks import USUAL_SIZE, Grown, as_stream, block_links, own_class
from benchmarks.learning.stream import Stream

CLASSES, FEATURES = 4, 10
ANY = 0.1
"""Share of the nodes whose class is any, whatever the features are."""


def useless_graph(seed: int, size: int | None = None) -> Stream:
    """Four of ten features decide the class; every link goes anywhere.

    Args:
        seed: of everything.
        size: nodes; 6,000 by default.
    """
    random = np.random.default_rng([seed, 54])
    x = random.normal(size=(size or USUAL_SIZE, FEATURES))
    regular = 2 * (x[:, 0] * x[:, 1] > 0) + (x[:, 2] + np.abs(x[:, 3]) > 0.7)
    labels = np.where(random.random(len(x)) < ANY, random.integers(CLASSES, size=len(x)), regular).astype(np.int64)
    return as_stream(Grown(x, labels, block_links(labels, own_class(CLASSES, 0.0), random)), seed)
