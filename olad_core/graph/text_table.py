"""A hash table from short texts to numbers: UTF-8 bytes in one pool, looked up and entered by compiled loops."""

from __future__ import annotations

import numpy as np

from olad_core.graph import text_loops as loops
from olad_core.graph.arrays import Int64s, UInt8s, lengthened
from olad_core.graph.text_loops import END, FREE, GIVEN_UP, USED, Slices, Texts

FULLEST = 0.6
"""Load of the hash table at most."""
FEWEST = 64
"""Texts that memory is taken for at first."""
FEWEST_GIVEN_BACK = 65_536
"""Bytes of erased texts from which on the pool is compacted."""
# The interpreter draws a key for the hashes of its own strings, so that nobody can choose ids that collide. The order
# of the table decides nothing, so that a key that differs between processes changes no result.
_KEY = np.array([hash("key of the texts, first half"), hash("key of the texts, second half")], np.int64).view(np.uint64)


class TextTable:
    """Texts and their numbers; the pool and the table grow with them."""

    def __init__(self) -> None:
        self._texts = Texts(
            table=np.full(1, -1, np.int64),
            start=np.empty(0, np.int64),
            length=np.empty(0, np.int32),
            tag=np.empty(0, np.int32),
            pool=np.empty(0, np.uint8),
            free=np.empty(0, np.int32),
            sizes=np.zeros(4, np.int64),
        )

    @property
    def capacity(self) -> int:
        """Numbers are below this."""
        return self._texts.start.size

    @property
    def count(self) -> int:
        """Texts that have a number."""
        return int(self._texts.sizes[END] - self._texts.sizes[FREE])

    @property
    def end(self) -> int:
        """Numbers from here on were never used."""
        return int(self._texts.sizes[END])

    @property
    def free(self) -> Int64s:
        """The numbers below that are not in use, in the order in which they are given up."""
        return self._texts.free[: self._texts.sizes[FREE]].astype(np.int64)

    @classmethod
    def of(cls, slices: Slices, free: Int64s) -> TextTable:
        """A table in which each text has the number of its place; ``free`` are the places of no text, in order."""
        table = cls()
        # A byte that is in no UTF-8, so that these are no texts. They hold the numbers until they are erased.
        holes = [b"\xff%d" % place for place in free.tolist()]
        start, length = slices.start.copy(), slices.length.copy()
        start[free] = slices.text.size + np.cumsum([0, *map(len, holes)])[:-1]
        length[free] = [*map(len, holes)]
        text = np.frombuffer(slices.text.tobytes() + b"".join(holes), np.uint8)
        table.intern(Slices(text, start, length))
        table.erase(free)
        return table

    def intern(self, slices: Slices) -> tuple[Int64s, Int64s]:
        """Number of each text, given one where it has none.

        Returns:
            The numbers, -1 for no text; and those that are new, each once, in the order of their texts.
        """
        numbers, new = np.empty(slices.length.size, np.int64), np.empty(slices.length.size, np.int64)
        # A batch's bytes are an upper bound that costs nothing; those of features beside the ids can be many.
        size = slices.text.size
        self._reserve(numbers.size, size if size <= FEWEST_GIVEN_BACK else int(slices.length.sum()))
        count = loops.intern(self._texts, slices, _KEY, numbers, new)
        return numbers, new[:count]

    def find(self, slices: Slices) -> Int64s:
        """Number of each text, -1 where it has none."""
        numbers = np.empty(slices.length.size, np.int64)
        loops.find_all(self._texts, slices, _KEY, numbers)
        return numbers

    def erase(self, numbers: Int64s) -> None:
        """Take texts out; a number that is not in use is passed over."""
        loops.erase_all(self._texts, numbers)
        used, given_up = int(self._texts.sizes[USED]), int(self._texts.sizes[GIVEN_UP])
        if given_up > FEWEST_GIVEN_BACK and 2 * given_up > used:
            pool = np.empty((used - given_up) * 5 // 4, np.uint8)
            loops.compact(self._texts, pool)
            self._texts = self._texts._replace(pool=pool)

    def bytes_of(self, numbers: Int64s) -> tuple[UInt8s, Int64s]:
        """UTF-8 bytes of texts, one after the other, and where each begins and the last one ends.

        No text for a negative number, nor for one that is not in use.
        """
        offsets = np.zeros(numbers.size + 1, np.int64)
        loops.measure(self._texts, numbers, offsets)
        text = np.empty(offsets[-1], np.uint8)
        loops.gather(self._texts, numbers, offsets, text)
        return text, offsets

    def _reserve(self, more: int, more_bytes: int) -> None:
        """Reserve space for so many texts more, of so many bytes together."""
        texts = self._texts
        used, _, end, free = texts.sizes.tolist()
        if end + more > texts.start.size:
            size = max(FEWEST, end + more, texts.start.size * 3 // 2)
            grown = {name: lengthened(getattr(texts, name), size) for name in ("start", "length", "tag", "free")}
            texts = texts._replace(**grown)
        if used + more_bytes > texts.pool.size:
            size = max(16 * FEWEST, used + more_bytes, texts.pool.size * 3 // 2)
            texts = texts._replace(pool=lengthened(texts.pool, size))
        if end - free + more > FULLEST * texts.table.size:
            # A table that is doubled is not rebuilt for each batch that is a little larger.
            slots = 1 << int(max(FEWEST, end - free + more) / FULLEST).bit_length()
            table = np.full(slots, -1, np.int64)
            loops.move_table(texts.table, table)
            texts = texts._replace(table=table)
        self._texts = texts


def slices_of(text: UInt8s, offsets: Int64s) -> Slices:
    """Texts that stand one after the other, as :func:`olad_core.graph.text.pack` gives them."""
    # Texts of a batch are parts of Python's bytes, which nobody may write to: loops are compiled for that type alone.
    text = text.view()
    text.flags.writeable = False
    return Slices(text, offsets[:-1], np.diff(offsets).astype(np.int32))
