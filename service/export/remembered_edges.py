"""The edges that a task remembers, as they stand in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.store import DynamicGraph
from olad_core.graph.text import unpack

RINGS = {"edge_tasks": "learner/edges", "value_tasks": "learner/edges/ring"}
"""Where the edges of a task stand in a checkpoint, by the part of its kind: classes and values."""


class Remembered(NamedTuple):
    """An edge that a task remembers.

    Attributes:
        place: in the ring.
        source: id of the node that it is from.
        target: id of the node that it is to.
        id: of the edge; None where those of its type have none.
    """

    place: int
    source: str
    target: str
    id: str | None


def remembered_edges(
    graph: DynamicGraph, ring: Mapping[str, npt.NDArray[Any]], places: npt.NDArray[np.int64]
) -> Iterator[Remembered]:
    """The edges at some places of a ring.

    Args:
        graph: of the checkpoint.
        ring: arrays of the ring, by name.
        places: that are held.
    """
    ids = unpack(ring["ids"], ring["ids_at"])
    ends = ring["ends"][places].astype(np.int64)
    sources, targets = (graph.ids(ends[:, way]) for way in (0, 1))
    for place, source, target in zip(places.tolist(), sources, targets, strict=True):
        yield Remembered(place, source, target, ids[place] or None)
