"""Thirty classes that link to their own: each has few labels."""

from __future__ import annotations

import numpy as np

from benchmarks.learning.blocks import USUAL_SIZE, Grown, around_means, as_stream, block_links, own_class
from benchmarks.learning.stream import Stream

CLASSES, FEATURES = 30, 16
DISTANCE, HOMOPHILY = 2.5, 0.7


def many_classes(seed: int, size: int | None = None) -> Stream:
    """Equally frequent classes around means of their own.

    Args:
        seed: of everything.
        size: nodes; 6,000 by default.
    """
    random = np.random.default_rng([seed, 52])
    labels = random.integers(CLASSES, size=size or USUAL_SIZE)
    x = around_means(labels, CLASSES, FEATURES, DISTANCE, random)
    return as_stream(Grown(x, labels, block_links(labels, own_class(CLASSES, HOMOPHILY), random)), seed)
