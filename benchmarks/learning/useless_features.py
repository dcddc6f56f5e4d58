"""Features that have nothing to do with the class, beside a graph that shows it."""

from __future__ import annotations

import numpy as np

from benchmarks.learning.blocks import USUAL_SIZE, Grown, as_stream, block_links, own_class
from benchmarks.learning.stream import Stream

CLASSES, FEATURES = 4, 64
HOMOPHILY = 0.8


def useless_features(seed: int, size: int | None = None) -> Stream:
    """Four classes that link to their own; 64 features of noise.

    Args:
        seed: of everything.
        size: nodes; 6,000 by default.
    """
    random = np.random.default_rng([seed, 55])
    labels = random.integers(CLASSES, size=size or USUAL_SIZE)
    x = random.normal(size=(len(labels), FEATURES))
    return as_stream(Grown(x, labels, block_links(labels, own_class(CLASSES, HOMOPHILY), random)), seed)
