"""A heterophilous block model: neighbours are hardly ever of a node's own class, but their classes show which it is."""

from __future__ import annotations

import numpy as np

from benchmarks.learning.blocks import USUAL_SIZE, Grown, around_means, as_stream, block_links
from benchmarks.learning.stream import Stream

CLASSES, FEATURES = 5, 16
DISTANCE = 1.0
"""Of the class means from the origin, the features' standard deviation being one: features alone show little."""
REGULAR = 0.8
"""Share of the links that go to one of the two classes beside a node's own, on a ring; the others go anywhere."""


def heterophilous(seed: int, size: int | None = None) -> Stream:
    """Classes on a ring, each of which links to the two beside it.

    Args:
        seed: of everything.
        size: nodes; 6,000 by default.
    """
    random = np.random.default_rng([seed, 51])
    labels = random.integers(CLASSES, size=size or USUAL_SIZE)
    preference = np.zeros((CLASSES, CLASSES + 1))
    for number in range(CLASSES):
        preference[number, [(number - 1) % CLASSES, (number + 1) % CLASSES]] = REGULAR / 2
        preference[number, CLASSES] = 1 - REGULAR
    x = around_means(labels, CLASSES, FEATURES, DISTANCE, random)
    return as_stream(Grown(x, labels, block_links(labels, preference, random)), seed)
