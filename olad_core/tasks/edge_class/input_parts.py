"""What the inputs of an edge are about, and the same inputs without a part of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from olad_core.tasks.edge_class.history import (
    BLOCKS_OF_LINKS,
    BLOCKS_OF_PAIR,
    BLOCKS_OF_ROLE,
    OF_PAIR,
    OF_ROLE,
    Inputs,
)

End: TypeAlias = Literal["source", "target"]
OfEnd: TypeAlias = Literal["edges", "labels", "joined"]
OfEdge: TypeAlias = Literal["between", "weight", "features"]

ENDS: tuple[End, ...] = ("source", "target")
_OF_NO_EDGES = np.array([0, -1, 0] * 2, np.float32)
"""Plain inputs of an end in both roles that has had no edge."""
_PAIR = 4 * OF_ROLE
_PAIR_BLOCKS = 4 * BLOCKS_OF_ROLE
_LINKS = _PAIR_BLOCKS + BLOCKS_OF_PAIR
_LOOP, _WEIGHT = _PAIR + OF_PAIR - 2, _PAIR + OF_PAIR - 1


class Part(NamedTuple):
    """A part of what is known of an edge.

    Attributes:
        kind: of an end: its ``edges`` (how many, how long ago, of what weight), their ``labels`` with those around, or
            the labels of what it is ``joined`` to by edges of other types. Of the edge: earlier edges ``between`` both
            ends, its ``weight``, or its ``features``.
        end: which end; None for a part of the edge.
    """

    kind: OfEnd | OfEdge
    end: End | None = None


PARTS: tuple[Part, ...] = (
    Part("features"),
    Part("weight"),
    Part("between"),
    *(Part(kind, end) for kind in ("edges", "labels", "joined") for end in ENDS),
)
"""All of them. Each input belongs to one."""


def without(inputs: Inputs, parts: Collection[Part]) -> Inputs:
    """The same inputs of n edges as if nothing were known of some parts."""
    plain, blocks, features = (array.copy() for array in inputs)
    for kind, end in parts:
        if end is not None:
            number = ENDS.index(end)
            if kind == "edges":
                plain[:, 2 * OF_ROLE * number : 2 * OF_ROLE * (number + 1)] = _OF_NO_EDGES
            elif kind == "labels":
                blocks[:, 2 * BLOCKS_OF_ROLE * number : 2 * BLOCKS_OF_ROLE * (number + 1)] = 0
            else:
                blocks[:, _LINKS + BLOCKS_OF_LINKS * number : _LINKS + BLOCKS_OF_LINKS * (number + 1)] = 0
        elif kind == "between":
            plain[:, _PAIR : _LOOP + 1] = 0
            blocks[:, _PAIR_BLOCKS:_LINKS] = 0
        elif kind == "weight":
            plain[:, _WEIGHT] = 0
        else:
            features[:] = 0
    return Inputs(plain, blocks, features)


def parts_of(inputs: Inputs) -> tuple[Part, ...]:
    """The parts of which the inputs of one edge know anything."""
    return tuple(part for part in PARTS if not _same(inputs, without(inputs, (part,))))


def _same(one: Inputs, other: Inputs) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
