"""Node ids and the rows they stand in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from olad_core.config import REMOVED_KEPT
from olad_core.graph.text import pack, unpack


class NodeIds:
    """Ids <-> rows, the rows that are free, and the ids that were removed last.

    Removed ids are remembered until they come back: an edge that arrives late must not bring them back to life. An id
    that so many others were removed after is unknown again.

    Args:
        removed_kept: removed ids that are remembered.

    Attributes:
        row_of: row of every living node.
        removed: ids that were removed, as keys, oldest first.
        end: rows from here on were never used.
        arrivals: number of nodes ever created.
    """

    def __init__(self, removed_kept: int = REMOVED_KEPT) -> None:
        self.row_of: dict[str, int] = {}
        # A plain dict looks at all that has been taken out of its front for each that is.
        self.removed: OrderedDict[str, None] = OrderedDict()
        self._removed_kept = removed_kept
        self.end = 0
        self.arrivals = 0
        self._id_of: list[str] = []
        self._free: list[int] = []

    def id_of(self, row: int) -> str:
        """Id of the node in this row; KeyError where the row holds none."""
        node = self._id_of[row] if 0 <= row < self.end else ""
        if not node:
            raise KeyError(f"row {row} holds no node")
        return node

    def create(self, node: str) -> int:
        """Give a node that is not there a row."""
        self.removed.pop(node, None)
        self.arrivals += 1
        if self._free:
            row = self._free.pop()
            self._id_of[row] = node
        else:
            row = self.end
            self.end += 1
            self._id_of.append(node)
        self.row_of[node] = row
        return row

    def remove(self, node: str) -> int:
        """Take a node out; its row stays taken until :meth:`free`."""
        row = self.row_of.pop(node)
        self._id_of[row] = ""
        self._remember_removed(node)
        return row

    def free(self, rows: Iterable[int]) -> None:
        """Let removed nodes' rows be used again."""
        self._free.extend(rows)

    def begin_anew(self) -> None:
        """Give out rows from the first one again; there must be no node."""
        self.end = 0
        self._id_of, self._free = [], []

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Everything; a row that holds no node has an empty id."""
        ids, id_ends = pack(self._id_of)
        removed, removed_ends = pack(self.removed)
        return {
            "ids": ids,
            "id_offsets": id_ends,
            "removed_ids": removed,
            "removed_id_offsets": removed_ends,
            "free_rows": np.array(self._free, np.int64),
            "arrivals": np.array(self.arrivals, np.int64),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]], removed_kept: int = REMOVED_KEPT) -> NodeIds:
        """The inverse of :meth:`state`."""
        nodes = cls(removed_kept)
        nodes._id_of = unpack(state["ids"], state["id_offsets"])
        nodes.end = len(nodes._id_of)
        nodes.row_of = {node: row for row, node in enumerate(nodes._id_of) if node}
        for node in unpack(state["removed_ids"], state["removed_id_offsets"]):
            nodes._remember_removed(node)
        nodes._free = state["free_rows"].tolist()
        nodes.arrivals = int(state["arrivals"])
        return nodes

    def _remember_removed(self, node: str) -> None:
        self.removed[node] = None
        if len(self.removed) > self._removed_kept:
            self.removed.popitem(last=False)
