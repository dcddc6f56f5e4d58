"""Random numbers that are functions of what they are for: a seed, a step, a layer, the number of a node.

So they do not depend on how many ranks there are, nor on which other nodes are drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from olad_core.config import TrainerConfig
from olad_core.graph.arrays import Float32s, Int64s, UInt64s
from olad_core.graph.compiled import compiled
from olad_core.learning.dropout import LOTS, Dropout

_MOST = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""Of SplitMix64."""


def key_of(*parts: int) -> int:
    """A key below 2**64 for numbers in an order.

    >>> key_of(1, 2) == key_of(1, 2), key_of(1, 2) == key_of(2, 1)
    (True, False)
    """
    key = 0
    for part in parts:
        key = (key + part + _GOLDEN) & _MOST
        key = ((key ^ (key >> 30)) * _FIRST) & _MOST
        key = ((key ^ (key >> 27)) * _SECOND) & _MOST
        key ^= key >> 31
    return key


def generator(*parts: int) -> np.random.Generator:
    """A generator for numbers in an order."""
    return np.random.default_rng(key_of(*parts))


def lots(key: int, *numbers: Int64s) -> UInt64s:
    """A random number below 2**64 for each place of arrays of one length.

    >>> bool(lots(3, np.array([5, 6]))[1] == lots(3, np.array([6]))[0])
    True
    """
    found = np.full(numbers[0].size, key, np.uint64)
    for each in numbers:
        _mix_in(found, each)
    return found


class KeyedDropout(Dropout):
    """Drops what the single worker drops as often, but decides by node and step.

    Args:
        config: how the group learns.
    """

    def __init__(self, config: TrainerConfig) -> None:
        super().__init__(
            config.hidden_dropout, config.feature_dropout, config.label_dropout, config.seed, torch.device("cpu")
        )
        self._key = self._calls = 0
        self._numbers = np.empty(0, np.int64)

    def begin(self, key: int, numbers: Int64s) -> None:
        """Begin a step.

        Args:
            key: of the step.
            numbers: of the nodes of its sample; the rows of each layer are the first of them.
        """
        self._key, self._calls, self._numbers = key, 0, numbers

    @override
    def mark(self) -> Callable[[], None]:
        calls = self._calls

        def return_to() -> None:
            self._calls = calls

        return return_to

    @override
    def labels(self, label: Tensor) -> Tensor:
        hidden = lots(self._next(), self._numbers) >> np.uint64(11)
        return label.masked_fill(torch.from_numpy(hidden < round(self._labels * (1 << 53))), -1)

    @override
    def _mask(self, shape: tuple[int, ...], share: float) -> Tensor:
        # A vector is a mask of columns, the same for all nodes.
        rows = self._numbers[: shape[0]] if len(shape) > 1 else np.zeros(1, np.int64)
        mask = np.empty((rows.size, shape[-1]), np.float32)
        dropped = min(round(share * LOTS), LOTS - 1)
        _fill(np.uint64(self._next()), rows, np.uint64(dropped), np.float32(LOTS / (LOTS - dropped)), mask)
        return torch.from_numpy(mask).view(shape)

    def _next(self) -> int:
        """A key for each call of a step: they come in the same order at all ranks."""
        self._calls += 1
        return key_of(self._key, self._calls)


@compiled
def _mixed(number: np.uint64) -> np.uint64:
    number += np.uint64(_GOLDEN)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(_FIRST)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(_SECOND)
    return number ^ (number >> np.uint64(31))


@compiled
def _mix_in(found: UInt64s, numbers: Int64s) -> None:
    for at in range(found.size):
        found[at] = _mixed(found[at] + np.uint64(numbers[at]))


@compiled
def _fill(key: np.uint64, numbers: Int64s, dropped: np.uint64, factor: np.float32, mask: Float32s) -> None:
    """Four lots of 16 bits from each random number."""
    for row in range(numbers.size):
        state = _mixed(key + np.uint64(numbers[row]))
        lot = state
        for column in range(mask.shape[1]):
            if column & 3 == 0:
                state += np.uint64(_GOLDEN)
                lot = _mixed(state)
            mask[row, column] = factor if (lot & np.uint64(0xFFFF)) >= dropped else np.float32(0)
            lot >>= np.uint64(16)
