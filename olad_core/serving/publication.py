"""What the engine hands out for serving after each turn of the loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from olad_core.events import RejectedOp, RejectionReason


@dataclass(frozen=True)
class Version:
    """A published, immutable state of one student."""

    number: int
    student: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class TableUpdate:
    """Changed rows of one version's predictions.

    Attributes:
        version: number of the version whose table changes.
        nodes: ids of the changed nodes, N of them.
        probabilities: their class probabilities, float32 ``[N, C]`` in the order of the version's classes.
        disagreement: how far the members of the group differ about each node, float32 ``[N]`` from 0, not at all, to 1.
        removed: ids of nodes that left the graph.
    """

    version: int
    nodes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    disagreement: npt.NDArray[np.float32]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RejectedEvent:
    """An accepted event that could not be applied, or a whole batch of them.

    Attributes:
        position: of its batch.
        index: its place there; -1 for the batch itself.
        op: kind of event; ``batch`` for the batch itself.
        reason: one word.
        detail: the reason in words.
        content: the batch itself as text; empty for a single event.
    """

    position: str
    index: int
    op: RejectedOp
    reason: RejectionReason
    detail: str
    content: str = ""


@dataclass(frozen=True)
class Publication:
    """Everything that becomes visible to readers in one atomic step.

    Attributes:
        position: id of the last log entry that is part of it.
        applied_events: number of events up to there, since the graph began.
        updates: changed rows, per version (the served one and one that is being embedded).
        served: the version readers get from now on; None while there is none.
        dropped: versions whose tables can go.
        rejected: events that could not be applied.
    """

    position: str
    applied_events: int
    updates: tuple[TableUpdate, ...]
    served: Version | None
    dropped: tuple[int, ...] = ()
    rejected: tuple[RejectedEvent, ...] = ()
