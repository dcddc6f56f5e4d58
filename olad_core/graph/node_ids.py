"""Node ids and class names, and the rows and classes that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from olad_core.config import REMOVED_KEPT
from olad_core.graph.arrays import Int16s, Int64s, UInt8s, lengthened
from olad_core.graph.node_arrays import ARRIVALS, CLASSES, END, FREE, HEAD, LIVING, REMEMBERED, TAIL, Names
from olad_core.graph.text import pack, unpack
from olad_core.graph.text_loops import Slices
from olad_core.graph.text_table import TextTable, slices_of


class NodeIds:
    """Ids <-> rows, names <-> classes, the rows that are free, and the ids that were removed last.

    Ids and class names have their numbers in one table of texts. Removed ids are remembered until they come back: an
    edge that arrives late must not bring them back to life. An id that so many others were removed after is unknown
    again.

    Args:
        removed_kept: removed ids that are remembered.

    Attributes:
        removed_kept: removed ids that are remembered.
        classes: class names, in the order of their numbers.
        typed: whether nodes have types.
        arrays: what compiled loops work on; replaced when it grows.
    """

    def __init__(self, removed_kept: int = REMOVED_KEPT) -> None:
        self.removed_kept = removed_kept
        self.classes: list[str] = []
        self.typed = False
        self._texts = TextTable()
        self.arrays = Names(
            row_of=np.empty(0, np.int32),
            class_of=np.empty(0, np.int32),
            removed_at=np.empty(0, np.int64),
            removed=np.empty(0, np.int32),
            name_of=np.empty(0, np.int32),
            free=np.empty(0, np.int32),
            fresh=np.empty(0, np.uint8),
            featured=np.empty(0, np.int32),
            labelled=np.empty(0, np.int32),
            kind=np.empty(0, np.int16),
            sizes=np.zeros(8, np.int64),
        )

    @property
    def end(self) -> int:
        """Rows from here on were never used."""
        return int(self.arrays.sizes[END])

    @property
    def arrivals(self) -> int:
        """Number of nodes ever created."""
        return int(self.arrays.sizes[ARRIVALS])

    @property
    def living(self) -> int:
        """Number of nodes."""
        return int(self.arrays.sizes[LIVING])

    @property
    def remembered(self) -> int:
        """Number of removed ids that are remembered."""
        return int(self.arrays.sizes[REMEMBERED])

    def rows(self, ids: Iterable[str]) -> Int64s:
        """Rows of nodes, -1 where there is no such node."""
        return self.rows_of(slices_of(*pack(ids)))

    def rows_of(self, ids: Slices) -> Int64s:
        """Rows of nodes whose ids are parts of an array of bytes, -1 where there is no such node."""
        numbers = self._texts.find(ids)
        rows = np.full(numbers.size, -1, np.int64)
        known = numbers >= 0
        rows[known] = self.arrays.row_of[numbers[known]]
        return rows

    def bytes_of(self, rows: Int64s) -> tuple[UInt8s, Int64s]:
        """UTF-8 bytes of the ids in these rows, one after the other, and where each begins and the last one ends.

        Raises:
            KeyError: for a row that holds no node.
        """
        inside = (rows >= 0) & (rows < self.end)
        numbers = self.arrays.name_of[np.where(inside, rows, 0)] if self.end else np.full(rows.size, -1, np.int32)
        without = ~inside | (numbers < 0)
        if without.any():
            raise KeyError(f"row {rows[without][0]} holds no node")
        return self._texts.bytes_of(numbers.astype(np.int64))

    def texts_of(self, numbers: Int64s) -> list[str]:
        """The texts that have these numbers."""
        return unpack(*self._texts.bytes_of(numbers))

    def intern(self, slices: Slices) -> tuple[Int64s, Int64s]:
        """Numbers of the ids and class names of a batch, -1 where there is none; and those of them that are new.

        Reserves space for all that the batch may do.
        """
        numbers, new = self._texts.intern(slices)
        self._reserve(slices.length.size)
        return numbers, new

    def enter(self, numbers: Int64s, kinds: Int16s, more: int) -> None:
        """Let the texts with these numbers be nodes, in the rows from 0 on; there must be none.

        Args:
            numbers: of texts, each once.
            kinds: the types of the nodes.
            more: nodes that may follow.
        """
        assert not self.living, "there are nodes"
        self.begin_anew()
        self._reserve(numbers.size + more)
        arrays = self.arrays
        arrays.row_of[numbers] = np.arange(numbers.size)
        arrays.name_of[: numbers.size] = numbers
        if self.typed:
            arrays.kind[: kinds.size] = kinds
        arrays.sizes[END] = arrays.sizes[LIVING] = numbers.size

    def leave(self, numbers: Int64s) -> None:
        """Let none of the texts with these numbers be a node any more, which are all; removals are not remembered."""
        self.arrays.row_of[numbers] = -1
        self.arrays.sizes[LIVING] = 0
        self.drop_unused(numbers)

    def drop_unused(self, numbers: Int64s) -> None:
        """Forget those of these texts that name no node, no removed node and no class."""
        arrays = self.arrays
        unused = (arrays.row_of[numbers] < 0) & (arrays.class_of[numbers] < 0) & (arrays.removed_at[numbers] < 0)
        self._texts.erase(numbers[unused])

    def add_classes(self, names: Iterable[str]) -> None:
        """Number classes; a name that is one stays what it is."""
        names = list(dict.fromkeys(names))
        numbers, _ = self.intern(slices_of(*pack(names)))
        for name, number in zip(names, numbers.tolist(), strict=True):
            if self.arrays.class_of[number] < 0:
                self.arrays.class_of[number] = len(self.classes)
                self.classes.append(name)
        self.arrays.sizes[CLASSES] = len(self.classes)

    def give_kinds(self, kinds: Int16s) -> None:
        """Set the types of the nodes in the first rows."""
        self._reserve(0)
        self.arrays.kind[: kinds.size] = kinds

    def begin_anew(self) -> None:
        """Give out rows from the first one again; there must be no node."""
        sizes, nothing = self.arrays.sizes, np.empty(0, np.int32)
        sizes[END] = sizes[FREE] = 0
        self.arrays = self.arrays._replace(
            name_of=nothing,
            free=nothing,
            featured=nothing,
            labelled=nothing,
            fresh=np.empty(0, np.uint8),
            kind=np.empty(0, np.int16),
        )

    def were_removed(self, ids: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Which ids are those of removed nodes that are remembered: bool ``[n]``."""
        numbers = self._texts.find(slices_of(*pack(ids)))
        found = np.zeros(numbers.size, np.bool_)
        known = numbers >= 0
        found[known] = self.arrays.removed_at[numbers[known]] >= 0
        return found

    def part(self, rows: Int64s, outside: str, removed: Sequence[str]) -> NodeIds:
        """The nodes in some rows, which are numbered in their order, and one more with the id ``outside``.

        All classes are there; of the removed ids only these are remembered.
        """
        text, ends = self.bytes_of(rows)
        more, more_ends = pack([outside])
        removed_text, removed_ends = pack(removed)
        classes, class_ends = pack(self.classes)
        part = NodeIds.from_state(
            {
                "ids": np.concatenate([text, more]),
                "id_offsets": np.append(ends, ends[-1] + more_ends[-1]),
                "removed_ids": removed_text,
                "removed_id_offsets": removed_ends,
                "free_rows": np.empty(0, np.int64),
                "arrivals": np.array(self.arrivals, np.int64),
                "classes": classes,
                "class_offsets": class_ends,
            },
            self.removed_kept,
        )
        part.typed = self.typed
        if self.typed:
            part.give_kinds(self.arrays.kind[rows])
        return part

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Everything; a row that holds no node has an empty id."""
        arrays, sizes = self.arrays, self.arrays.sizes
        removed = arrays.removed[sizes[HEAD] : sizes[TAIL]].astype(np.int64)
        ids, id_ends = self._texts.bytes_of(arrays.name_of[: self.end].astype(np.int64))
        removed_ids, removed_ends = self._texts.bytes_of(removed[removed >= 0])
        classes, class_ends = pack(self.classes)
        return {
            "ids": ids,
            "id_offsets": id_ends,
            "removed_ids": removed_ids,
            "removed_id_offsets": removed_ends,
            "free_rows": arrays.free[: sizes[FREE]].astype(np.int64),
            "arrivals": np.array(self.arrivals, np.int64),
            "classes": classes,
            "class_offsets": class_ends,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[np.generic]], removed_kept: int = REMOVED_KEPT) -> NodeIds:
        """The inverse of :meth:`state`."""
        nodes = cls(removed_kept)
        nodes.add_classes(unpack(state["classes"], state["class_offsets"]))
        numbers, _ = nodes.intern(_slices(state, "ids", "id_offsets"))
        rows = np.flatnonzero(numbers >= 0)
        free = state["free_rows"].astype(np.int32)
        nodes.arrays.name_of[: numbers.size] = numbers
        nodes.arrays.row_of[numbers[rows]] = rows
        nodes.arrays.free[: free.size] = free
        removed, _ = nodes.intern(_slices(state, "removed_ids", "removed_id_offsets"))
        forgotten, kept = np.split(removed, [max(0, removed.size - removed_kept)])
        nodes.arrays.removed[: kept.size] = kept
        nodes.arrays.removed_at[kept] = np.arange(kept.size)
        nodes.drop_unused(forgotten)
        sizes = nodes.arrays.sizes
        sizes[END], sizes[LIVING], sizes[FREE] = numbers.size, rows.size, free.size
        sizes[TAIL] = sizes[REMEMBERED] = kept.size
        sizes[ARRIVALS] = int(state["arrivals"])
        return nodes

    def _reserve(self, more: int) -> None:
        """Reserve space for so many more rows, free rows and removed ids, and for every number there may be."""
        arrays, numbers = self.arrays, self._texts.capacity
        end, _, free, _, head, tail, _, _ = arrays.sizes.tolist()
        if arrays.row_of.size < numbers:
            grown = {name: lengthened(getattr(arrays, name), numbers, -1) for name in ("row_of", "class_of")}
            arrays = arrays._replace(removed_at=lengthened(arrays.removed_at, numbers, -1), **grown)
        if end + more > arrays.name_of.size:
            rows = max(end + more, arrays.name_of.size * 3 // 2)
            grown = {name: lengthened(getattr(arrays, name), rows, -1) for name in ("name_of", "featured", "labelled")}
            arrays = arrays._replace(fresh=lengthened(arrays.fresh, rows), **grown)
        if self.typed and arrays.kind.size < arrays.name_of.size:
            arrays = arrays._replace(kind=lengthened(arrays.kind, arrays.name_of.size, -1))
        if free + more > arrays.free.size:
            arrays = arrays._replace(free=lengthened(arrays.free, (free + more) * 3 // 2))
        if tail + more > arrays.removed.size:
            removed = arrays.removed[head:tail]
            removed = removed[removed >= 0]
            arrays.removed_at[removed] = np.arange(removed.size)
            arrays.sizes[HEAD], arrays.sizes[TAIL] = 0, removed.size
            arrays = arrays._replace(removed=lengthened(removed, (removed.size + more) * 2))
        self.arrays = arrays


def _slices(state: Mapping[str, npt.NDArray[np.generic]], text: str, offsets: str) -> Slices:
    return slices_of(state[text].astype(np.uint8), state[offsets].astype(np.int64))
