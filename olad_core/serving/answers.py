"""The answers of one version as readers know them: where each was computed, and what is to be published of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.graph import DynamicGraph
from olad_core.serving.marks import UInt8s
from olad_core.serving.publication import MARKS_PER_BLOCK, MarkedBlocks, RowOrigins

Rows = npt.NDArray[np.int64]


class Origin(NamedTuple):
    """A point in the log: the two numbers of a position, and the events that were applied up to there.

    >>> Origin.at("1700-3", 42)
    Origin(position_ms=1700, position_sequence=3, applied_events=42)
    """

    position_ms: int
    position_sequence: int
    applied_events: int

    @classmethod
    def at(cls, position: str, applied_events: int) -> Origin:
        """The origin at a position ``<ms>-<sequence>``."""
        ms, _, sequence = position.partition("-")
        return cls(int(ms), int(sequence or 0), applied_events)


NEVER = Origin(0, 0, -1)
"""Before anything was computed."""


@dataclass(frozen=True)
class News:
    """What has changed of a version's answers since it was last published.

    Attributes:
        rows: of living nodes whose answers were computed, each once, ascending.
        origins: of these rows.
        marked: blocks of the bitmap of marks; None where none has changed.
    """

    rows: Rows
    origins: RowOrigins
    marked: MarkedBlocks | None


class Answers:
    """Follows which answers of a version are computed and which are marked."""

    def __init__(self) -> None:
        self._origin = np.empty((0, len(NEVER)), np.int64)
        self._computed: list[Rows] = []
        self._blocks = np.zeros(0, np.bool_)
        self._marks_changed = False

    @property
    def has_news(self) -> bool:
        """Whether :meth:`take_news` has anything to give."""
        return bool(self._computed) or self._marks_changed

    def compute(self, graph: DynamicGraph, rows: Rows, origin: Origin) -> None:
        """Note that the answers of rows were computed there."""
        if len(rows):
            self._reserve(graph.capacity)
            self._origin[rows] = origin
            self._computed.append(rows)
            self._note_blocks(rows)

    def mark(self, rows: Rows) -> None:
        """Note that the answers of rows were marked."""
        self._note_blocks(rows)

    def create(self, graph: DynamicGraph, rows: Rows) -> None:
        """Note that rows belong to new nodes, for which nothing was computed yet."""
        self._reserve(graph.capacity)
        self._origin[rows] = NEVER
        self.mark(rows)

    def missing(self, graph: DynamicGraph) -> Rows:
        """Nodes whose answers were never computed."""
        self._reserve(graph.capacity)
        return np.flatnonzero(graph.alive & (self._origin[:, 2] < 0))

    def note_all(self, graph: DynamicGraph) -> None:
        """Let the next :meth:`take_news` hold every answer and every mark there is."""
        self._reserve(graph.capacity)
        self._computed = [np.flatnonzero(graph.alive & (self._origin[:, 2] >= 0))]
        self._note_blocks(np.arange(0, graph.capacity, MARKS_PER_BLOCK))

    def take_news(self, graph: DynamicGraph, marks: UInt8s) -> News:
        """What has changed since the last call; it is handed out once."""
        rows = _ascending(self._computed)
        rows = rows[graph.alive[rows]]
        ms, sequence, applied = self._origin[rows].T
        origins = RowOrigins(ms.astype(np.uint64), sequence.astype(np.uint32), applied.astype(np.uint64))
        blocks = np.flatnonzero(self._blocks)
        self._blocks[blocks] = False
        self._computed, self._marks_changed = [], False
        return News(rows, origins, _bitmap(blocks, marks & graph.alive[: len(marks)]) if len(blocks) else None)

    def begin_anew(self) -> None:
        """Forget all rows: the graph has no node, and gives them out from the first one again."""
        self._origin = self._origin[:0]
        self._blocks[:] = False
        self._computed, self._marks_changed = [], False

    def state(self, rows: int | None) -> Tensor:
        """int64 ``[rows, 3]`` for a checkpoint: position, sequence number and events; those in use, not copies."""
        self._reserve(rows or 0)
        return torch.from_numpy(self._origin[:rows])

    def restore(self, tensor: Tensor) -> None:
        """Take over the tensor of :meth:`state`."""
        self._origin = tensor.numpy().copy()

    def _note_blocks(self, rows: Rows) -> None:
        """Note that the marks of rows may have changed."""
        if not len(rows):
            return
        blocks = rows // MARKS_PER_BLOCK
        more = int(blocks.max()) + 1 - len(self._blocks)
        if more > 0:
            self._blocks = np.append(self._blocks, np.zeros(more, np.bool_))
        self._blocks[blocks] = True
        self._marks_changed = True

    def _reserve(self, rows: int) -> None:
        more = rows - len(self._origin)
        if more > 0:
            self._origin = np.concatenate([self._origin, np.tile(np.array(NEVER, np.int64), (more, 1))])


def _ascending(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return np.sort(parts[0])
    return np.unique(np.concatenate([np.empty(0, np.int64), *parts]))


def _bitmap(blocks: Rows, marked: UInt8s) -> MarkedBlocks:
    bits = np.zeros((len(blocks), MARKS_PER_BLOCK), np.uint8)
    for place, block in enumerate(blocks.tolist()):
        held = marked[block * MARKS_PER_BLOCK : (block + 1) * MARKS_PER_BLOCK]
        bits[place, : len(held)] = held
    return MarkedBlocks(blocks, np.packbits(bits, axis=1))
