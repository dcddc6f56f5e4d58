"""What the engine hands out for serving after each turn of the loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from olad_core.events import RejectedOp, RejectionReason
from olad_core.judging.decisions import Decision
from olad_core.tasks.label_rule import LabelRule


@dataclass(frozen=True)
class Version:
    """Published, immutable weights of one student, or of the group.

    Attributes:
        number: running number of the weights, by which their table is found.
        student: name of the student, or that of the group.
        classes: that they can name.
        shown: number by which people know the version. Weights that only go on from those before share it with them;
            where none is given it is ``number``.
    """

    number: int
    student: str
    classes: tuple[str, ...]
    shown: int = 0

    def __post_init__(self) -> None:
        """Set ``shown`` where none is given."""
        if not self.shown:
            object.__setattr__(self, "shown", self.number)


MARKS_PER_BLOCK = 4_096
"""Rows in one block of a bitmap of marks."""


@dataclass(frozen=True)
class RowOrigins:
    """Where in the log rows were computed: each is exact for the graph as it was there.

    Attributes:
        position_ms: milliseconds of the position, uint64 ``[N]``.
        position_sequence: its sequence number, uint32 ``[N]``.
        applied_events: number of events up to there, since the graph began, uint64 ``[N]``.
    """

    position_ms: npt.NDArray[np.uint64]
    position_sequence: npt.NDArray[np.uint32]
    applied_events: npt.NDArray[np.uint64]

    def columns(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
        """The three arrays, in the order of the fields."""
        return self.position_ms, self.position_sequence, self.applied_events

    def part(self, rows: slice) -> RowOrigins:
        """Those of some of the rows."""
        return RowOrigins(self.position_ms[rows], self.position_sequence[rows], self.applied_events[rows])


@dataclass(frozen=True)
class MarkedBlocks:
    """Blocks of a bitmap over the graph's rows: a bit is set where the stored answer is of an earlier position.

    Attributes:
        first: number of each block, int64 ``[B]``; block ``b`` is about the :data:`MARKS_PER_BLOCK` rows from
            ``b * MARKS_PER_BLOCK`` on.
        bits: uint8 ``[B, MARKS_PER_BLOCK / 8]``, in the order of ``numpy.packbits``: the first row of a block is the
            highest bit of its first byte. Redis counts bits in the same order.
    """

    first: npt.NDArray[np.int64]
    bits: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TableUpdate:
    """Changed rows of one version's predictions.

    Attributes:
        version: number of the version whose table changes.
        nodes: ids of the changed nodes, N of them.
        probabilities: their class probabilities, float32 ``[N, C]`` in the order of the version's classes; with
            ``classes`` of these alone.
        disagreement: how far the members of the group differ about each node, float32 ``[N]`` from 0, not at all, to 1.
        removed: ids of nodes that left the graph.
        rows: the graph's row of each node, its place in the bitmap of marks, int64 ``[N]``.
        origins: where the rows were computed; None where all were at the publication's position.
        marked: blocks of the version's bitmap of marks that have changed; None where none has.
        classes: the most likely classes of each node, the likeliest first, int32 ``[N, B]``, places in the version's
            order; None where the probabilities are those of all classes.
    """

    version: int
    nodes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    disagreement: npt.NDArray[np.float32]
    removed: tuple[str, ...] = ()
    rows: npt.NDArray[np.int64] = field(kw_only=True)
    origins: RowOrigins | None = None
    marked: MarkedBlocks | None = None
    classes: npt.NDArray[np.int32] | None = None


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
class ListedNodes:
    """A list of nodes, exact at the publication's position.

    Attributes:
        name: what is listed (:class:`olad_core.serving.list_names.ListName`).
        nodes: ids of N nodes, in the order of the list.
        labels: classes that label them.
        probabilities: float32 ``[N]``: of the class that is listed, else of their label.
        disagreement: float32 ``[N]``, from 0 to 1.
        marked: nodes of the graph whose stored answer is of an earlier position; none of them is listed.
    """

    name: str
    nodes: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    disagreement: npt.NDArray[np.float32]
    marked: int


@dataclass(frozen=True)
class WholeAnswer:
    """All classes of some nodes, for somebody who has requested them.

    Attributes:
        request: its id.
        rows: probabilities of all classes, of those of the nodes that are in the graph.
    """

    request: str
    rows: TableUpdate


@dataclass(frozen=True)
class Reply:
    """The answer to a question about what is served.

    Attributes:
        question: its name.
        content: as whoever asked reads it.
    """

    question: str
    content: bytes


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
        answered: id of the last request for rows that this publication answers; None where it answers none.
        rule: what turns the probabilities of the served version into labels.
        lists: that readers wait for.
        whole: all classes of nodes, exact at the position of the publication.
        replies: answers to questions, exact there too.
        coming: the version that is being embedded; None where none is.
        decisions: that were made since the last publication, oldest first.
    """

    position: str
    applied_events: int
    updates: tuple[TableUpdate, ...]
    served: Version | None
    dropped: tuple[int, ...] = ()
    rejected: tuple[RejectedEvent, ...] = ()
    answered: str | None = None
    rule: LabelRule = field(default_factory=LabelRule, kw_only=True)
    lists: tuple[ListedNodes, ...] = field(default=(), kw_only=True)
    whole: tuple[WholeAnswer, ...] = field(default=(), kw_only=True)
    replies: tuple[Reply, ...] = field(default=(), kw_only=True)
    coming: Version | None = field(default=None, kw_only=True)
    decisions: tuple[Decision, ...] = field(default=(), kw_only=True)
