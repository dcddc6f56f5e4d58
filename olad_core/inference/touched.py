"""Which rows of which layer a change of the graph touches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.graph import Changes, DynamicGraph

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Touch:
    """What changed in the graph since the last update, as sets of live rows.

    Attributes:
        created: nodes that are new.
        features: nodes whose features changed, the new ones included.
        edges: nodes at which an incoming edge appeared, changed or left, the new ones included.
    """

    created: Rows
    features: Rows
    edges: Rows

    @property
    def rows(self) -> Rows:
        """Every row that is in any of the sets."""
        return np.union1d(self.features, self.edges)


def merge(changes: Iterable[Changes], graph: DynamicGraph) -> Touch:
    """The touch of several changes in a row; rows that died meanwhile are left out."""
    changes = list(changes)

    def alive(parts: Iterable[Rows]) -> Rows:
        rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
        living: Rows = rows[graph.alive[rows]]
        return living

    created = alive(change.created for change in changes)
    return Touch(
        created=created,
        features=alive([created, *(change.features for change in changes)]),
        edges=alive([created, *(change.edge_target for change in changes)]),
    )


def layers_touched(graph: DynamicGraph, touch: Touch, layers: int, *, uses_degree: bool) -> list[Rows]:
    """Rows to recompute, layer 0 first.

    A row of a layer depends on its own and its in-neighbours' rows of the layer below, on its incoming
    edges and, where the normalisation uses degrees, on the incoming edges of its in-neighbours.
    """
    touched = [touch.features]
    for _ in range(1, layers):
        below = touched[-1]
        senders = np.union1d(below, touch.edges) if uses_degree else below
        receivers = graph.out_neighbours(senders).index.astype(np.int64)
        touched.append(np.unique(np.concatenate([below, touch.edges, receivers])))
    return touched
