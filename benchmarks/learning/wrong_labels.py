"""Three in ten labels are wrong: what is learned from them is scored on the true classes."""

from __future__ import annotations

import numpy as np

from benchmarks.learning.blocks import USUAL_SIZE, Grown, around_means, as_stream, block_links, own_class
from benchmarks.learning.stream import Stream

CLASSES, FEATURES = 4, 16
DISTANCE, HOMOPHILY = 2.0, 0.7
WRONG = 0.3
"""Share of the labels that name one of the other classes."""


def wrong_labels(seed: int, size: int | None = None) -> Stream:
    """Four classes that link to their own.

    Args:
        seed: of everything.
        size: nodes; 6,000 by default.
    """
    random = np.random.default_rng([seed, 53])
    labels = random.integers(CLASSES, size=size or USUAL_SIZE)
    x = around_means(labels, CLASSES, FEATURES, DISTANCE, random)
    wrong = random.random(len(labels)) < WRONG
    given = np.where(wrong, (labels + random.integers(1, CLASSES, size=len(labels))) % CLASSES, labels)
    return as_stream(Grown(x, labels, block_links(labels, own_class(CLASSES, HOMOPHILY), random)), seed, given=given)
