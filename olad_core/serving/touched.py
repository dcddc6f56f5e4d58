"""What changed in the graph since predictions were last brought up to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from olad_core.graph import Changes, DynamicGraph

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Touch:
    """The net effect of some batches on rows and arcs.

    Arcs are pairs of *rows*. A row may have been freed and taken by another node in between; as sums over
    rows do not ask whose they are, the changes of an arc's weight just add up.

    Attributes:
        created: living rows of new nodes.
        features: living rows whose features changed, the created ones included.
        labels: living rows that were given another class.
        stepped: rows whose steps of structure differ, living or not, some more than once.
        stepped_columns: uint8, one for each of these: bit ``k`` where column ``k`` differs.
        remembered: rows whose hidden states advanced, ascending; see :class:`~olad_core.students.Memory`.
        edges: living rows at which an incoming edge appeared, changed or left, the created ones included.
        arc_source: int64 ``[A]``, source of every change of an arc's weight, living or not.
        arc_target: int64 ``[A]``.
        arc_change: float32 ``[A]``, weight after less weight before.
    """

    created: Rows
    features: Rows
    labels: Rows
    edges: Rows
    arc_source: Rows
    arc_target: Rows
    arc_change: npt.NDArray[np.float32]
    stepped: Rows
    stepped_columns: npt.NDArray[np.uint8]
    remembered: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def received(self) -> Rows:
        """Rows for which an incoming edge has another weight or features, or which are new; some more than once."""
        return np.concatenate([self.created, self.arc_target])

    @property
    def direct(self) -> Rows:
        """Living rows that the change touched itself, each once, ascending."""
        return np.unique(np.concatenate([self.features, self.labels, self.edges]))

    def stepped_in(self, columns: int, graph: DynamicGraph) -> Rows:
        """Living rows whose steps differ in one of these columns, bit ``k`` standing for column ``k``."""
        rows = self.stepped[(self.stepped_columns & np.uint8(columns)) > 0]
        return rows[graph.alive[rows]]

    @property
    def rows(self) -> Rows:
        """Every living row whose features or incoming edges changed."""
        return np.union1d(self.features, self.edges)


def merge(changes: Iterable[Changes], graph: DynamicGraph) -> Touch:
    """The touch of several batches in a row."""
    changes = list(changes)

    def joined(parts: Iterable[Rows]) -> Rows:
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])

    def living(parts: Iterable[Rows]) -> Rows:
        rows = graph.distinct(joined(parts))
        return np.sort(rows[graph.alive[rows]])

    created = living(change.created for change in changes)
    target = joined(change.edge_target for change in changes)
    return Touch(
        created=created,
        features=living([created, *(change.features for change in changes)]),
        labels=living(change.labelled[change.label_differs] for change in changes),
        edges=living([created, target]),
        arc_source=joined(change.edge_source for change in changes),
        arc_target=target,
        arc_change=np.concatenate(
            [np.empty(0, np.float32), *(change.weight_after - change.weight_before for change in changes)]
        ),
        stepped=joined(change.stepped for change in changes),
        stepped_columns=np.concatenate([np.empty(0, np.uint8), *(change.stepped_columns for change in changes)]),
    )
