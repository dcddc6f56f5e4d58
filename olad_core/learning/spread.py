"""Students spread over ranks: who trains which of them, and what ranks send one another.

See ``docs/decisions/0067-students-over-ranks.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from olad_core.device import to_device
from olad_core.errors import OladError
from olad_core.graph.arrays import Float32s

Gather: TypeAlias = Callable[[str, Float32s], Sequence[Float32s]]
"""Sends the numbers ``[n]`` of one kind to all ranks; returns those of all ranks, in their order. It waits for them."""


class NotSpread(OladError, ValueError):
    """A group cannot be trained by so many ranks."""


class RanksDiffer(OladError, RuntimeError):
    """A rank has sent something else than the others expect of it."""


@dataclass(frozen=True)
class Spread:
    """Which rank this is, and how it sends.

    Attributes:
        rank: this one.
        ranks: how many there are.
        gather: how they send; not called where there is one.
    """

    rank: int
    ranks: int
    gather: Gather


def _nobody(kind: str, values: Float32s) -> Sequence[Float32s]:
    raise AssertionError(f"{kind}, {values.size} numbers: there is no other rank")


ALONE = Spread(0, 1, _nobody)
"""One process trains all students."""


@dataclass(frozen=True)
class Shared:
    """A tensor that one rank has, and all are to have.

    Attributes:
        owner: the rank that has it.
        shape: of it.
        own: it, at that rank; what others have in its place is not read.
    """

    owner: int
    shape: Sequence[int]
    own: Tensor


class Division:
    """Who trains what: whole stacks of students, those of a rank one after the other.

    Args:
        spread: over which ranks.
        stacks: number of students of each stack.

    Raises:
        NotSpread: a rank would have no student.
    """

    def __init__(self, spread: Spread, stacks: Sequence[int]) -> None:
        if spread.ranks > len(stacks):
            raise NotSpread(
                f"{spread.ranks} ranks are to train {len(stacks)} kinds of students: take one rank a kind at most. "
                "Students of one kind that follow each other are trained by one rank"
            )
        self.spread = spread
        self.stack_owners = tuple(place * spread.ranks // len(stacks) for place in range(len(stacks)))
        """Rank of each stack."""
        pairs = zip(self.stack_owners, stacks, strict=True)
        self.owners = tuple(owner for owner, count in pairs for _ in range(count))
        """Rank of each student."""
        self._counts = [self.owners.count(rank) for rank in range(spread.ranks)]
        end = list(accumulate(self._counts))[spread.rank]
        self.own = slice(end - self._counts[spread.rank], end)
        """Places of the students of this rank in the group."""

    @property
    def alone(self) -> bool:
        """Whether there is no other rank."""
        return self.spread.ranks == 1

    def is_own(self, stack: int) -> bool:
        """Whether this rank trains a stack."""
        return self.stack_owners[stack] == self.spread.rank

    def join(self, kind: str, own: Sequence[Tensor]) -> list[Tensor]:
        """What all students have ``[G, ...]``, from what those of this rank have ``[g, ...]``, in one exchange.

        Gradients pass to what this rank has; what comes from others is constant.
        """
        if self.alone:
            return list(own)
        ranks = range(self.spread.ranks)
        parts = [Shared(rank, (self._counts[rank], *each.shape[1:]), each) for each in own for rank in ranks]
        found = self.share(kind, parts)
        return [torch.cat(found[at : at + len(ranks)]) for at in range(0, len(found), len(ranks))]

    def share(self, kind: str, tensors: Sequence[Shared]) -> list[Tensor]:
        """Tensors of all ranks at each of them, in one exchange; those that it has itself as they are.

        Raises:
            RanksDiffer: a rank has sent more or fewer numbers than it has.
        """
        rank = self.spread.rank
        mine = [each.own.detach().flatten() for each in tensors if each.owner == rank]
        sent = torch.cat(mine).cpu().numpy() if mine else np.empty(0, np.float32)
        received = self.spread.gather(kind, sent)
        read, found = [0] * self.spread.ranks, []
        for each in tensors:
            first, size = read[each.owner], math.prod(each.shape)
            read[each.owner] += size
            part = received[each.owner][first : first + size]
            if part.size < size:
                break
            found.append(each.own if each.owner == rank else to_device(part.reshape(each.shape), each.own.device))
        if read != [part.size for part in received]:
            raise RanksDiffer(f"{kind}: ranks send {[part.size for part in received]} numbers, instead of {read}")
        return found
