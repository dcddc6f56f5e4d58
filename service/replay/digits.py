"""The demo's default: handwritten digits that come with scikit-learn, as a nearest-neighbour graph."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from service.replay.archive_graph import GraphDataset

NEIGHBOURS = 8


def digits_graph() -> GraphDataset:
    """1,797 images of 8 x 8 pixels (64 features from 0 to 1), ten classes.

    An edge joins two images where one is among the other's eight nearest.
    """
    digits = load_digits()
    pixels = (digits.data / 16).astype(np.float32)
    index = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(pixels)
    nearest = index.kneighbors(pixels, return_distance=False)
    pairs = np.stack([np.repeat(np.arange(len(pixels)), NEIGHBOURS + 1), nearest.ravel()])
    pairs = np.sort(pairs[:, pairs[0] != pairs[1]], axis=0)
    return GraphDataset(
        labels=digits.target.astype(np.int64),
        classes=tuple(str(digit) for digit in range(10)),
        edges=np.unique(pairs, axis=1),
        features=pixels,
    )
