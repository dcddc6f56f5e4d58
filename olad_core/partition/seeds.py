"""The nodes that a training step is about, the same for any number of ranks.

Every rank draws the same places: of labels in their order, of nodes touched lately, of numbers of any nodes. Owners
find which of them are theirs and still there. So each rank holds the labelled nodes that it owns, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.config import TrainerConfig
from olad_core.graph.arrays import Bools, Int64s, lengthened
from olad_core.partition.exchange import Superstep, require_same, to_all
from olad_core.partition.keyed import generator
from olad_core.partition.store import PartitionStore
from olad_core.step_size import StepSize

_LABELLED, _LATELY, _ANY = range(3)
"""What a step draws; part of the key."""
_SWEPT_BELOW = 0.75
"""Share of the drawn places that hold a labelled node; where it is lower, the others are swept out."""


class Seeds(NamedTuple):
    """A step's seeds at one rank.

    Attributes:
        rows: of owned nodes: the labelled ones first, then nodes without a label.
        labelled: how many of them are labelled.
        all_labelled: labelled ones of all ranks.
        all: those of all ranks.
    """

    rows: Int64s
    labelled: int
    all_labelled: int
    all: int


class LabelHistory:
    """Labelled nodes in the order of their labels, each rank holding its own: their places and numbers.

    Drawn as :class:`~olad_core.learning.label_history.Replay` draws. A node labelled again gets a new place. Entries
    whose node has left or has a later one are dropped when the entries of a rank reach a power of two.

    Args:
        recent: labels that are the latest ones.
    """

    def __init__(self, recent: int) -> None:
        self._recent = self._latest = recent
        self.total = 0
        """Places that were given out at all ranks."""
        self._place = self._number = np.empty(0, np.int64)
        self._place_of_row = np.empty(0, np.int64)

    def add(self, numbers: Int64s, store: PartitionStore) -> None:
        """Append nodes of all ranks that were labelled; one that is known already moves to the end."""
        rows, before = store.own_rows(numbers), self._place.size
        own = np.flatnonzero(rows >= 0)
        self._append(self.total + own, numbers[own], store)
        if self._place.size.bit_length() > before.bit_length():
            held, _ = self._current(np.arange(self._place.size), store)
            self._place, self._number = self._place[held], self._number[held]
        self.total += numbers.size
        self._latest = min(self._recent, self._latest + numbers.size)

    def shorten(self, count: int) -> None:
        """Let the latest nodes be the last ``count`` of now, and with them all that come."""
        self._latest = min(self._latest, max(1, count))

    def draw(self, count: int, random: np.random.Generator) -> Int64s:
        """Up to ``count`` places, but half of all at most; half of them or more are of the latest."""
        count = min(count, (self.total + 1) // 2)
        if self.total <= count:
            return np.arange(self.total)
        recent = min(self._latest, self.total)
        wanted = int(count * (1 - 0.5 * self._latest / self._recent))
        lately = self.total - 1 - random.choice(recent, min(wanted, recent), replace=False)
        return np.unique(np.concatenate([lately, random.choice(self.total, count - lately.size, replace=False)]))

    def own_rows(self, places: Int64s, store: PartitionStore) -> Int64s:
        """Rows of this rank's nodes in some places that are labelled there still."""
        if not self._place.size:
            return np.empty(0, np.int64)
        at = np.minimum(np.searchsorted(self._place, places), self._place.size - 1)
        return self._current(at[self._place[at] == places], store)[1]

    def sweep(self, store: PartitionStore) -> Superstep[None]:
        """Give the nodes that are there still new places, without gaps."""
        held, rows = self._current(np.arange(self._place.size), store)
        places, numbers = self._place[held], self._number[held]
        received = yield to_all("labelled nodes", places, store.rank, store.ranks)
        every = np.sort(np.concatenate([*received, places]))
        self._place = self._number = np.empty(0, np.int64)
        self._place_of_row[rows] = -1
        self._append(np.searchsorted(every, places), numbers, store)
        self.total = every.size

    def state(self) -> tuple[dict[str, int], dict[str, npt.NDArray[np.generic]]]:
        """What is the same at all ranks, and this rank's own."""
        return {"total": self.total, "latest": self._latest}, {"number": self._number, "place": self._place}

    def restore(
        self, shared: Mapping[str, int], own: Mapping[str, npt.NDArray[np.generic]], store: PartitionStore
    ) -> None:
        """Take over the :meth:`state`; of nodes that this rank does not own nothing is kept."""
        self.total, self._latest = int(shared["total"]), min(self._recent, int(shared["latest"]))
        self._place = self._number = np.empty(0, np.int64)
        self._place_of_row = np.empty(0, np.int64)
        order = np.argsort(own["place"])
        numbers = own["number"][order].astype(np.int64)
        held = store.own_rows(numbers) >= 0
        self._append(own["place"][order].astype(np.int64)[held], numbers[held], store)

    def _append(self, places: Int64s, numbers: Int64s, store: PartitionStore) -> None:
        self._place_of_row = lengthened(self._place_of_row, store.graph.capacity, -1)
        self._place = np.concatenate([self._place, places])
        self._number = np.concatenate([self._number, numbers])
        self._place_of_row[store.own_rows(numbers)] = places

    def _current(self, held: Int64s, store: PartitionStore) -> tuple[Int64s, Int64s]:
        """Those of the entries whose nodes have no later one and are labelled, and their rows."""
        rows = store.own_rows(self._number[held])
        held, rows = held[rows >= 0], rows[rows >= 0]
        current = (store.graph.label[rows] >= 0) & (self._place_of_row[rows] == self._place[held])
        return held[current], rows[current]


def draw_seeds(
    store: PartitionStore,
    history: LabelHistory,
    touched: Int64s,
    lowest: int,
    config: TrainerConfig,
    size: StepSize,
    key: tuple[int, ...],
    *,
    unlabelled: bool,
    checksum: int,
) -> Superstep[Seeds]:
    """Draw the nodes of a step.

    Args:
        store: this rank's part.
        history: labelled nodes.
        touched: numbers of nodes that changed lately; some may have left.
        lowest: least number of a node that there is.
        config: how the group learns.
        size: of the step.
        key: of the step.
        unlabelled: whether to draw nodes without a label too.
        checksum: of what has to be the same at all ranks.

    Raises:
        RanksDiffer: another rank has another checksum.
    """
    count, most = max(1, size.of(config.labelled)), size.of(config.touched) if unlabelled else 0
    more = _drawn(store, touched, lowest, most, key)
    for again in (0, 1):
        places = history.draw(count, generator(*key, _LABELLED, again))
        labelled = history.own_rows(places, store)
        found = np.array([checksum, labelled.size, *(2 * more.places + more.labelled)], np.int64)
        received = list((yield to_all("seeds", found, store.rank, store.ranks)))
        received[store.rank] = found
        require_same([int(each[0]) for each in received], store.rank)
        all_labelled = sum(int(each[1]) for each in received)
        if again or all_labelled >= _SWEPT_BELOW * places.size:
            break
        yield from history.sweep(store)
    kept = np.sort(np.concatenate([each[2:] for each in received]))[:most]
    kept = kept[kept % 2 == 0] // 2
    rows = more.rows[np.isin(more.places, kept)]
    every = [part[np.argsort(store.number[part])] for part in (labelled, rows)]
    return Seeds(np.concatenate(every), labelled.size, all_labelled, all_labelled + kept.size)


class _Drawn(NamedTuple):
    """Owned nodes of a drawing that is the same at all ranks.

    Attributes:
        places: in the drawing.
        rows: of the nodes.
        labelled: whether each has a label.
    """

    places: Int64s
    rows: Int64s
    labelled: Bools


def _drawn(store: PartitionStore, touched: Int64s, lowest: int, count: int, key: tuple[int, ...]) -> _Drawn:
    """Up to half of ``count`` nodes touched lately, then enough any nodes to have so many, in most graphs."""
    lately = generator(*key, _LATELY).choice(touched, min(count // 2, touched.size), replace=False)
    some = generator(*key, _ANY).integers(lowest, max(lowest + 1, store.arrivals), size=2 * count)
    # A node that was drawn twice counts where it stands first.
    numbers, places = np.unique(np.concatenate([lately, some]), return_index=True)
    rows = store.own_rows(numbers)
    places, rows = places[rows >= 0], rows[rows >= 0]
    return _Drawn(places, rows, store.graph.label[rows] >= 0)
