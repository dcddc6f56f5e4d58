"""What waits for a node's label: so many numbers at most, so that memory does not grow with nodes that get none."""

from __future__ import annotations

from typing import Generic, TypeVar

from olad_core.config import ARRIVAL_CELLS, EngineConfig
from olad_core.memory_use import remembered

T = TypeVar("T")


def most_waiting(cells: int) -> int:
    """How many nodes may wait that hold so many numbers each: as many as an engine remembers of one predictor.

    >>> most_waiting(3), most_waiting(1_000)
    (65536, 16777)
    """
    return remembered(EngineConfig.arrivals_remembered, ARRIVAL_CELLS, 1, cells)


class Waiting(Generic[T]):
    """Values by node, the oldest forgotten beyond a limit.

    >>> waiting = Waiting()
    >>> for node in "abcb":
    ...     waiting.add(node, node.upper(), most=2)
    >>> waiting.take("a"), waiting.take("b"), waiting.take("b")
    (None, 'B', None)
    """

    def __init__(self) -> None:
        self._values: dict[str, T] = {}

    def __len__(self) -> int:
        return len(self._values)

    def add(self, node: str, value: T, most: int) -> None:
        """Let a node wait, as the newest one; at most so many wait after that."""
        self._values.pop(node, None)
        self._values[node] = value
        while len(self._values) > most:
            del self._values[next(iter(self._values))]

    def values(self) -> list[T]:
        """What waits, the oldest first."""
        return list(self._values.values())

    def take(self, node: str) -> T | None:
        """What waited for the node's label; None where nothing did, or it was forgotten."""
        return self._values.pop(node, None)
