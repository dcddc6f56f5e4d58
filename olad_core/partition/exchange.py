"""What ranks exchange: work that goes on in all of them is a generator, which yields arrays to send.

Whoever runs it decides how they travel. Here all ranks of one process take turns; on torch.distributed see
``service/partitioned/collectives.py``.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from olad_core.errors import OladError

Records = npt.NDArray[Any]
"""One-dimensional; the items may be structured."""
Outcome = TypeVar("Outcome")


class OutOfStep(OladError, RuntimeError):
    """Ranks do not send the same kind of records at the same time."""


class RanksDiffer(OladError, RuntimeError):
    """Ranks do not have the same bytes of what has to be the same at all of them."""


@dataclass(frozen=True)
class Outgoing:
    """Records from one rank to all others.

    Attributes:
        kind: what they are; the same at all ranks.
        parts: for each rank, its own being empty; of one data type.
    """

    kind: str
    parts: Sequence[Records]


Superstep: TypeAlias = Generator[Outgoing, Sequence[Records], Outcome]
"""Yields what one rank sends, and is sent what it receives: for each rank the records from there, in order."""


@dataclass
class Traffic:
    """What has been sent to other ranks, by kind.

    Attributes:
        records: how many.
        size: bytes of them, without what a transport adds.
    """

    records: dict[str, int] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def count(self, sent: Outgoing) -> None:
        """Count what one rank sends."""
        records = sum(part.size for part in sent.parts)
        self.records[sent.kind] = self.records.get(sent.kind, 0) + records
        self.size[sent.kind] = self.size.get(sent.kind, 0) + sum(part.nbytes for part in sent.parts)


def require_same(checksums: Sequence[int], rank: int) -> None:
    """Refuse to work on with ranks that have come to something else.

    Args:
        checksums: of all ranks.
        rank: this one.

    Raises:
        RanksDiffer: they are not all the same.
    """
    others = [other for other, checksum in enumerate(checksums) if checksum != checksums[rank]]
    if others:
        raise RanksDiffer(
            f"rank {rank} and ranks {others} have other weights: start all ranks on the same kind of CPU, with the "
            "same release of torch and the same number of its threads; they begin at the last checkpoint"
        )


def to_all(kind: str, records: Records, rank: int, ranks: int) -> Outgoing:
    """The same records to all others."""
    return Outgoing(kind, [records[:0] if to == rank else records for to in range(ranks)])


def by_rank(kind: str, records: Records, to: npt.NDArray[np.int64], ranks: int) -> Outgoing:
    """Each record to one rank, those of a rank in their order.

    Args:
        kind: what they are.
        records: ``[n]``.
        to: the rank that each is for, ``[n]``.
        ranks: number of ranks.
    """
    order = np.argsort(to, kind="stable")
    ends = np.searchsorted(to[order], np.arange(1, ranks))
    return Outgoing(kind, np.split(records[order], ends))


def run_in_lockstep(supersteps: Sequence[Superstep[Outcome]], traffic: Traffic | None = None) -> list[Outcome]:
    """Run the same work of all ranks in one process, up to each exchange in turn.

    Args:
        supersteps: of each rank.
        traffic: counts what is sent.

    Returns:
        What each rank's work returns.

    Raises:
        OutOfStep: they do not exchange the same.
    """
    received: list[Sequence[Records] | None] = [None] * len(supersteps)
    while True:
        sent: list[Outgoing] = []
        outcomes: list[Outcome] = []
        for superstep, records in zip(supersteps, received, strict=True):
            try:
                sent.append(next(superstep) if records is None else superstep.send(records))
            except StopIteration as end:
                outcomes.append(end.value)
        if not sent:
            return outcomes
        kinds = {each.kind for each in sent}
        if outcomes or len(kinds) > 1:
            raise OutOfStep(f"{len(outcomes)} ranks have ended, while others exchange {', '.join(sorted(kinds))}")
        if traffic is not None:
            for each in sent:
                traffic.count(each)
        received = [[each.parts[rank] for each in sent] for rank in range(len(supersteps))]
