"""One rank's state: its part of the graph, and the layers of the students that are followed on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import MAX_CLASSES, REMOVED_KEPT
from olad_core.events import Event, GraphSchema
from olad_core.graph import DynamicGraph
from olad_core.graph.arrays import Int64s
from olad_core.graph.changes import Rejection
from olad_core.graph.event_columns import columns_of
from olad_core.partition.directory import Directory
from olad_core.partition.exchange import Superstep
from olad_core.partition.layers import PartitionLayers
from olad_core.partition.store import PartChange, PartitionStore
from olad_core.students import Student


@dataclass(frozen=True)
class Followed:
    """What a batch came to at one rank.

    Attributes:
        changed: for each student, the owned rows whose answers are others than before.
        removed: ids of nodes of this rank that were removed.
        rejected: events that were not possible in the whole graph, in order; the same at all ranks.
        part: what the batch did to the part.
    """

    changed: tuple[Int64s, ...]
    removed: list[str]
    rejected: list[Rejection]
    part: PartChange


class Partition:
    """One rank of a graph that is spread over several. All ranks do the same with the same batches, in step.

    Students have fixed weights. Those that remember begin with hidden states of zeros, which stay.

    Args:
        rank: from 0 on.
        ranks: how many there are.
        directed: whether an edge is seen from its target only.
        feature_width: None until features are seen.
        edge_lifetime: edges leave that long after their last time; None where they stay.
        max_classes: classes that there may be.
        removed_kept: ids of removed nodes that are remembered.
    """

    def __init__(
        self,
        rank: int,
        ranks: int,
        *,
        directed: bool = False,
        feature_width: int | None = None,
        edge_lifetime: float | None = None,
        max_classes: int = MAX_CLASSES,
        removed_kept: int = REMOVED_KEPT,
    ) -> None:
        # The directory remembers removed ids, for all ranks alike.
        graph = DynamicGraph(
            directed=directed,
            feature_width=feature_width,
            edge_lifetime=edge_lifetime,
            max_classes=max_classes,
            removed_kept=0,
        )
        self.store = PartitionStore(rank, ranks, graph, Directory(removed_kept))
        self._students: list[PartitionLayers] = []

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, npt.NDArray[Any]],
        rank: int,
        ranks: int,
        *,
        max_classes: int = MAX_CLASSES,
        removed_kept: int = REMOVED_KEPT,
    ) -> Partition:
        """The rank whose :meth:`state` this was, without students; arguments as of :class:`PartitionStore`."""
        partition = cls(rank, ranks)
        partition.store = PartitionStore.from_state(
            state, rank, ranks, max_classes=max_classes, removed_kept=removed_kept
        )
        return partition

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The part of the graph as arrays, between two batches: those in use, so copy them in time.

        What students compute follows from it (:meth:`embed`).
        """
        return self.store.state()

    @property
    def graph(self) -> DynamicGraph:
        """The part of the graph, with copies of other ranks' nodes."""
        return self.store.graph

    def declare(self, schema: GraphSchema) -> None:
        """Follow a schema change (:meth:`~olad_core.graph.DynamicGraph.declare`); students follow it before any event.

        Raises:
            SchemaConflict, TooManyClasses: as there.
        """
        self.graph.declare(schema)

    def set_clock(self, time: float | None, arrival: float) -> None:
        """Set the graph's clock (:meth:`~olad_core.graph.DynamicGraph.set_clock`)."""
        self.graph.set_clock(time, arrival)

    def pass_over(self, events: Sequence[Event]) -> None:
        """Follow what a batch that cannot be applied adds to the schema; nothing else of it happens."""
        self.graph.pass_over(events)

    def embed(self) -> Superstep[None]:
        """Compute all layers of the students anew, where they are followed from a graph with nodes on."""
        for layers in self._students:
            yield from layers.embed()

    def serve(self, students: Sequence[Student], classes: int) -> None:
        """Follow these frozen students, before the first event; of a graph with nodes :meth:`embed` them then.

        Args:
            students: the same at all ranks.
            classes: number of classes they predict.
        """
        self._students = [PartitionLayers(student, classes, self.store) for student in students]

    def follow_layers(self, layers: Sequence[PartitionLayers]) -> None:
        """Follow these layers from now on; the first of them are what :meth:`answers` is of."""
        self._students = list(layers)

    def apply(self, events: Sequence[Event], time: float) -> Superstep[Followed]:
        """Apply a batch, and compute what it reaches.

        Args:
            events: the whole batch.
            time: seconds at which it arrived.
        """
        part = yield from self.store.apply(columns_of(events), time)
        removed = [
            node
            for node, row in zip(part.changes.removed_ids, part.changes.removed_rows.tolist(), strict=True)
            if self.store.owner[row] == self.store.rank
        ]
        changed = []
        for layers in self._students:
            rows = yield from layers.follow(part.changes)
            changed.append(rows)
        return Followed(tuple(changed), removed, part.rejected, part)

    def answers_of(self, rows: Int64s, student: int = 0) -> npt.NDArray[np.float32]:
        """A student's answers ``[n, 1 + C]`` about owned rows."""
        return self._students[student].answers(rows)

    def answers(self, student: int = 0) -> tuple[list[str], npt.NDArray[np.float32]]:
        """Ids of all owned nodes, and a student's answers ``[n, 1 + C]`` about them."""
        rows = np.flatnonzero(self.store.owned)
        return self.graph.ids(rows), self._students[student].answers(rows)
