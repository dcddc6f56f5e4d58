"""Noise that keeps students from overfitting their few labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from typing_extensions import override

LOTS = 1 << 16
"""A share is a whole number of these parts."""


class Dropout:
    """Drops entries of hidden rows, known labels, and whole feature columns.

    A step that drops a column drops it for all nodes: one random number a feature instead of one an entry.
    On bag-of-words features dropping single entries costs more than the layer behind it.

    Args:
        entries: share of the entries of hidden rows that is dropped.
        columns: share of the features that is dropped.
        labels: share of the known labels that is hidden.
        seed: of the random numbers.
        device: where the tensors are.
    """

    def __init__(self, entries: float, columns: float, labels: float, seed: int, device: torch.device) -> None:
        self._entries = entries
        self._columns = columns
        self._labels = labels
        self._device = device
        self._generator = torch.Generator(device).manual_seed(seed)

    def entries(self, rows: Tensor) -> Tensor:
        """Hidden rows ``[n, d]`` with some entries zero and the others scaled up."""
        return rows * self._mask(rows.shape, self._entries) if self._entries else rows

    def pass_over(self, shape: tuple[int, ...]) -> None:
        """Draw what :meth:`entries` draws for rows of a shape, which another rank computes."""
        if self._entries:
            self._draw(math.prod(shape))

    def columns(self, width: int) -> Tensor | None:
        """A factor ``[width]`` of the features: some columns zero, the others scaled up; None where none is dropped."""
        return self._mask((width,), self._columns) if self._columns else None

    def labels(self, label: Tensor) -> Tensor:
        """Labels ``[n]``, some hidden."""
        hidden = torch.rand(label.shape, generator=self._generator, device=self._device) < self._labels
        return label.masked_fill(hidden, -1)

    def mark(self) -> Callable[[], None]:
        """A function that has all be dropped again that is dropped from now on until it is called."""
        state = self.state()
        return lambda: self.restore(state)

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of entries, columns and labels."""
        return self._entries, self._columns, self._labels

    def numbers_of(self, label: int, columns: Sequence[int], entries: Sequence[tuple[int, ...]]) -> int:
        """How many random numbers :class:`DrawnDropout` takes.

        Args:
            label: number of labels.
            columns: widths of the features whose columns are dropped.
            entries: shapes of the rows whose entries are dropped.
        """
        lots = [label]
        lots += columns if self._columns else []
        lots += [math.prod(shape) for shape in entries] if self._entries else []
        return sum(map(numbers_for, lots))

    def draw_ahead(self, numbers: Tensor) -> None:
        """Replace int64 numbers by random ones, for :class:`DrawnDropout`."""
        numbers.random_(-(1 << 63), None, generator=self._generator)

    def state(self) -> Tensor:
        """The random state, for a checkpoint."""
        return self._generator.get_state()

    def restore(self, state: Tensor) -> None:
        """Take over a :meth:`state`."""
        self._generator.set_state(state)

    def _mask(self, shape: tuple[int, ...], share: float) -> Tensor:
        count = math.prod(shape)
        lots = self._draw(count)
        dropped = min(round(share * LOTS), LOTS - 1)
        kept = lots[:count].view(shape) >= dropped - LOTS // 2
        return kept.to(torch.float32).mul_(LOTS / (LOTS - dropped))

    def _draw(self, count: int) -> Tensor:
        """At least so many lots, four from each number drawn: to draw is most of the work."""
        drawn = torch.empty(numbers_for(count), dtype=torch.int64, device=self._device)
        self.draw_ahead(drawn)
        return drawn.view(torch.int16)


class DrawnDropout(Dropout):
    """The same with random numbers that were drawn ahead (:meth:`Dropout.draw_ahead`).

    Nothing is drawn while it is used, so a recorded step can read other numbers each time.

    Args:
        dropout: what it drops, and how often.
        numbers: int64, as many as the step takes.
    """

    def __init__(self, dropout: Dropout, numbers: Tensor) -> None:
        self._entries, self._columns, self._labels = dropout.shares
        self._numbers, self._taken = numbers, 0

    @override
    def labels(self, label: Tensor) -> Tensor:
        hidden = self._draw(label.numel())[: label.numel()] < round(self._labels * LOTS) - LOTS // 2
        return label.masked_fill(hidden, -1)

    @override
    def mark(self) -> Callable[[], None]:
        taken = self._taken

        def begin_again() -> None:
            self._taken = taken

        return begin_again

    @override
    def _draw(self, count: int) -> Tensor:
        first, self._taken = self._taken, self._taken + numbers_for(count)
        assert self._taken <= len(self._numbers), "as many numbers were drawn as a step takes"
        return self._numbers[first : self._taken].view(torch.int16)


def numbers_for(count: int) -> int:
    """How many random numbers give so many lots."""
    return -(-count // 4)
