"""Which node a reader asks for: any, or some far more often than others."""

from __future__ import annotations

import random

ZIPF = 1.4
"""Exponent of the popular nodes: the first of them gets a quarter of the reads, the first 1,000 get 94 %."""
_STRIDE = 7919
"""Popular nodes are spread over all node numbers; a prime, so that each rank has a node of its own."""


def node_of(draw: float, nodes: int, exponent: float) -> int:
    """The node that a number in [0, 1) leads to, ``predict.lua`` doing the same.

    The node of rank r, from 1, is asked for about as often as r to the power of minus the exponent; with exponent 0
    each node as often as every other.

    >>> [node_of(draw, 1_000, ZIPF) for draw in (0.0, 0.5, 0.9)], node_of(0.5, 1_000, 0)
    ([919, 595, 404], 500)
    """
    if exponent == 0:
        return int(draw * nodes)
    # The rest of a rank beyond the last one begins again at the first.
    return int((1 - draw) ** (-1 / (exponent - 1))) * _STRIDE % nodes


def nodes_asked(count: int, nodes: int, exponent: float) -> list[int]:
    """So many of them, the same at each call."""
    chosen = random.Random(1)
    return [node_of(chosen.random(), nodes, exponent) for _ in range(count)]
