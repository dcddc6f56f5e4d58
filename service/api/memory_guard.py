"""Refusing batches, before they enter the log, for which the worker does not have the memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from olad_core.errors import OladError
from olad_core.events import Event
from olad_core.memory_use import GroupSizes, Sizes, bytes_needed, most_added
from service.store.on_its_way import OnItsWay
from service.store.positions import PositionPair, parse_position


class NotEnoughMemory(OladError, RuntimeError):
    """The worker does not have the memory for a batch.

    Attributes:
        ever: whether the batch may fit later: it fits into a smaller graph.
    """

    def __init__(self, detail: str, *, ever: bool) -> None:
        super().__init__(detail)
        self.ever = ever


class MemoryGuard:
    """Compares with the worker's budget: the graph as last reported, the batches not yet applied, and a new batch.

    The API does not know the ids of the graph, so every id in a batch counts as new until the worker has applied it.

    Args:
        budget: bytes, until the worker has reported its own.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._group = GroupSizes()
        self._appended: list[tuple[PositionPair, Sizes]] = []
        """Batches of this process since the last call of :meth:`follow`."""
        self._held = Sizes()
        """The graph with the batches that are not yet applied, whichever process has appended them."""

    def follow(self, graph: Sizes, group: GroupSizes, budget: int, on_its_way: OnItsWay) -> None:
        """Take over what the worker has reported of its state, and what is on its way after that."""
        self._group, self._budget = group, budget
        self._appended = [(entry, sizes) for entry, sizes in self._appended if entry > on_its_way.last]
        self._held = graph.plus(on_its_way.sizes)
        for _, sizes in self._appended:
            self._held = self._held.plus(sizes)

    def check(self, batch: Sequence[Event], classes: int) -> Sizes:
        """What the batch may add.

        Args:
            batch: checked events.
            classes: that the graph has with it, at least.

        Raises:
            NotEnoughMemory: it does not fit into this graph, or into none.
        """
        held = self._held
        for distinct in (False, True):
            added = replace(most_added(batch, distinct=distinct), classes=classes)
            if added.nodes == 0:
                # It removes something, or labels an existing node.
                return added
            needed = bytes_needed(held.plus(added), self._group)
            if needed <= self._budget:
                return added
        alone = bytes_needed(added, self._group)
        if alone > self._budget:
            raise NotEnoughMemory(
                f"alone in a graph, the batch ({_figures(added)}) may need {alone:,} bytes, and the worker may need "
                f"{self._budget:,}; give it more memory (OLAD_MEMORY_BUDGET_MB)",
                ever=False,
            )
        raise NotEnoughMemory(
            f"with the batch ({_figures(added)}) the graph ({_figures(held)}) may need {needed:,} bytes of memory, and "
            f"the worker may need {self._budget:,}. Nothing was written; remove nodes, or give the worker more memory "
            "(OLAD_MEMORY_BUDGET_MB)",
            ever=True,
        )

    def expect(self, position: str, sizes: Sizes) -> None:
        """Count a batch that is in the log until the worker has applied it."""
        if sizes.nodes:
            self._appended.append((parse_position(position), sizes))
            self._held = self._held.plus(sizes)


class Admission:
    """Decides about one batch; what it may add counts as soon as it is in the log."""

    def __init__(self, guard: MemoryGuard) -> None:
        self._guard = guard
        self._added = Sizes()

    def __call__(self, batch: Sequence[Event], classes: int) -> Sizes:
        """Admit or refuse a checked batch; what it may add. See :meth:`MemoryGuard.check`."""
        self._added = self._guard.check(batch, classes)
        return self._added

    def admitted(self, position: str) -> None:
        """The batch is in the log, at this position."""
        self._guard.expect(position, self._added)


def _figures(sizes: Sizes) -> str:
    featured = f", {sizes.featured:,} of them with {sizes.feature_width:,} features" if sizes.featured else ""
    return f"{sizes.nodes:,} nodes{featured}, {sizes.edges:,} edges, {sizes.classes:,} classes"
