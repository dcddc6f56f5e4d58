"""What a training step is about: labelled nodes to learn from again, and nodes touched lately."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from olad_core.graph import DynamicGraph

Rows = npt.NDArray[np.int64]

FEWEST_SWEPT = 4096
"""Fewer entries than that stand on until a draw sweeps them out."""
_FEWEST = 1024
"""Entries that memory is taken for at first."""


class Replay:
    """Labelled nodes in the order of their labels; draws halve between the last ones and all of them.

    A graph that drifts wants its newest labels, a stable one wants all of them: every draw takes both. After a
    drift, the newest ones are those since then (:meth:`shorten`), until there are as many as configured; and draws
    take the more of them the fewer they are, since the others are of what was.
    Appending costs amortised O(1) however many nodes are known. A node labelled again gets a new entry, and its
    old one, like the entries of removed nodes, stands on until a draw meets many such entries, or until the number of
    entries reaches a power of two and more than half of them are such. So there are fewer than four times as many
    entries as labelled nodes lived at once, or :data:`FEWEST_SWEPT`.
    """

    def __init__(self, recent: int) -> None:
        self._recent = self._latest = recent
        self._rows = np.empty(_FEWEST, dtype=np.int64)
        self._arrival = np.empty(_FEWEST, dtype=np.int64)
        self._entry_of_row = np.empty(0, dtype=np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: Rows, graph: DynamicGraph) -> None:
        """Append newly labelled rows; a row that is known already moves to the end."""
        before = self._count
        self._append(rows, graph.arrival[rows], graph.capacity)
        # Whether to sweep depends on the numbers of entries alone, so that a restored engine sweeps at the same entry.
        if self._count >= FEWEST_SWEPT and self._count.bit_length() > before.bit_length():
            current = self._current(np.arange(self._count), graph)
            if 2 * np.count_nonzero(current) < self._count:
                self._sweep(graph)
        self._latest = min(self._recent, self._latest + len(rows))

    def begin_anew(self) -> None:
        """Forget all rows."""
        self._rows, self._arrival = (np.empty(_FEWEST, dtype=np.int64) for _ in range(2))
        self._entry_of_row = np.empty(0, dtype=np.int64)
        self._count = 0

    def shorten(self, count: int) -> None:
        """Let the latest rows be the last ``count`` of now, and with them all that come."""
        self._latest = min(self._latest, max(1, count))

    def draw(self, count: int, graph: DynamicGraph, random: np.random.Generator) -> Rows:
        """Up to ``count`` distinct labelled rows, but half of all at most; half of them or more are from the latest."""
        count = min(count, (self._count + 1) // 2)
        if self._count == 0:
            return np.empty(0, dtype=np.int64)
        drawn = self._draw_entries(count, random)
        current = self._current(drawn, graph)
        if np.count_nonzero(current) < 0.75 * len(drawn):
            self._sweep(graph)
            drawn = self._draw_entries(count, random)
            current = self._current(drawn, graph)
        return np.unique(self._rows[drawn[current]])

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {
            "rows": self._rows[: self._count],
            "arrival": self._arrival[: self._count],
            "latest": np.array([self._latest]),
        }

    def restore(self, state: dict[str, npt.NDArray[np.generic]], graph: DynamicGraph) -> None:
        """Take over the arrays of :meth:`state`."""
        self._count = 0
        self._latest = min(self._recent, int(state["latest"][0]))
        self._append(state["rows"].astype(np.int64), state["arrival"].astype(np.int64), graph.capacity)

    def _append(self, rows: Rows, arrival: Rows, capacity: int) -> None:
        end = self._count + len(rows)
        if end > len(self._rows):
            grown = max(end, 2 * len(self._rows))
            self._rows = np.concatenate([self._rows, np.empty(grown - len(self._rows), dtype=np.int64)])
            self._arrival = np.concatenate([self._arrival, np.empty(grown - len(self._arrival), dtype=np.int64)])
        if capacity > len(self._entry_of_row):
            more = np.full(capacity - len(self._entry_of_row), -1, dtype=np.int64)
            self._entry_of_row = np.concatenate([self._entry_of_row, more])
        self._rows[self._count : end] = rows
        self._arrival[self._count : end] = arrival
        self._entry_of_row[rows] = np.arange(self._count, end)
        self._count = end

    def _draw_entries(self, count: int, random: np.random.Generator) -> Rows:
        if self._count <= count:
            return np.arange(self._count)
        recent = min(self._latest, self._count)
        wanted = int(count * (1 - 0.5 * self._latest / self._recent))
        lately = self._count - 1 - random.choice(recent, min(wanted, recent), replace=False)
        return np.concatenate([lately, random.choice(self._count, count - len(lately), replace=False)])

    def _current(self, entries: Rows, graph: DynamicGraph) -> npt.NDArray[np.bool_]:
        rows = self._rows[entries]
        known = graph.alive[rows] & (graph.arrival[rows] == self._arrival[entries]) & (graph.label[rows] >= 0)
        current: npt.NDArray[np.bool_] = known & (self._entry_of_row[rows] == entries)
        return current

    def _sweep(self, graph: DynamicGraph) -> None:
        entries = np.arange(self._count)
        entries = entries[self._current(entries, graph)]
        rows, arrival = self._rows[entries], self._arrival[entries]
        self._count = 0
        if len(self._rows) > max(_FEWEST, 4 * len(rows)):
            self._rows, self._arrival = (np.empty(max(_FEWEST, 2 * len(rows)), dtype=np.int64) for _ in range(2))
        self._append(rows, arrival, graph.capacity)


class Touched:
    """The last rows whose features or edges changed, each once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows = np.empty(0, dtype=np.int64)

    def add(self, rows: Rows) -> None:
        """Append rows; the longest untouched are forgotten."""
        if len(rows):
            self._rows = np.concatenate([self._rows[~np.isin(self._rows, rows)], rows])[-self._limit :]

    @property
    def rows(self) -> Rows:
        """All of them, the last one last; some may have left."""
        return self._rows

    def begin_anew(self) -> None:
        """Forget all rows."""
        self._rows = np.empty(0, dtype=np.int64)

    def lately(self, graph: DynamicGraph) -> Rows:
        """All of them that are alive, ascending."""
        return np.sort(self._rows[graph.alive[self._rows]])

    def newest(self, graph: DynamicGraph) -> Rows:
        """All of them that are alive, the last first."""
        return self._rows[graph.alive[self._rows]][::-1]

    def draw(self, count: int, graph: DynamicGraph, random: np.random.Generator) -> Rows:
        """Up to ``count`` distinct rows: half of them touched lately, half any."""
        recent = self._rows[graph.alive[self._rows]]
        lately = random.choice(recent, min(count // 2, len(recent)), replace=False)
        any_row = random.integers(graph.capacity, size=2 * count)
        any_row = any_row[graph.alive[any_row]][: count - len(lately)]
        return np.unique(np.concatenate([lately, any_row]))

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays for a checkpoint."""
        return {"rows": self._rows.copy()}

    def restore(self, state: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take over the arrays of :meth:`state`."""
        self._rows = state["rows"].astype(np.int64)
