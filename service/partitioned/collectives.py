"""Runs supersteps on torch.distributed: each exchange is one all-to-all of sizes and one of records."""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist

from olad_core.errors import OladError
from olad_core.partition.exchange import Outgoing, OutOfStep, Records, Superstep, Traffic, to_all

Outcome = TypeVar("Outcome")


class RankLost(OladError, RuntimeError):
    """Another rank has ended, or has not answered within the time limit: all ranks have to begin again."""


def run(superstep: Superstep[Outcome], traffic: Traffic | None = None, limit: timedelta | None = None) -> Outcome:
    """Run one rank's work in the default process group, on CPUs; all its ranks have to do so.

    Args:
        superstep: of this rank.
        traffic: counts what this rank sends.
        limit: for how long other ranks are waited for at each exchange; None is the time limit of the group.

    Raises:
        OutOfStep: another rank exchanges something else.
        RankLost: another rank is gone, or has not answered within the time limit.
    """
    records: list[Records] | None = None
    while True:
        try:
            sent = next(superstep) if records is None else superstep.send(records)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        if traffic is not None:
            traffic.count(sent)
        records = exchange(sent, limit)


def exchange(sent: Outgoing, limit: timedelta | None = None) -> list[Records]:
    """What all ranks send to this one, in the order of ranks.

    Raises:
        OutOfStep: another rank exchanges something else.
        RankLost: another rank is gone, or has not answered within the time limit.
    """
    kind = zlib.crc32(sent.kind.encode())
    sizes = torch.tensor([[part.nbytes, kind] for part in sent.parts])
    coming = torch.empty_like(sizes)
    _all_to_all(sent.kind, coming, sizes, limit)
    if others := np.flatnonzero(coming[:, 1].numpy() != kind).tolist():
        raise OutOfStep(f"rank {dist.get_rank()} exchanges {sent.kind}, ranks {others} something else")
    sending, received = sizes[:, 0].tolist(), coming[:, 0].tolist()
    joined = torch.from_numpy(np.concatenate(sent.parts).view(np.uint8))
    found = torch.empty(sum(received), dtype=torch.uint8)
    _all_to_all(sent.kind, found, joined, limit, received, sending)
    parts = np.split(found.numpy(), np.cumsum(received)[:-1])
    return [part.view(sent.parts[0].dtype) for part in parts]


def share(kind: str, content: bytes, limit: timedelta | None = None) -> list[bytes]:
    """What each rank gives to all, in the order of ranks, its own included."""
    return [records.tobytes() for records in gather(kind, np.frombuffer(content, np.uint8), limit)]


def gather(kind: str, records: Records, limit: timedelta | None = None) -> list[Records]:
    """The records that each rank gives to all, in the order of ranks, its own included."""
    rank = dist.get_rank()
    received = exchange(to_all(kind, records, rank, dist.get_world_size()), limit)
    return [records if other == rank else given for other, given in enumerate(received)]


def _all_to_all(
    kind: str,
    found: torch.Tensor,
    given: torch.Tensor,
    limit: timedelta | None,
    received: list[int] | None = None,
    sending: list[int] | None = None,
) -> None:
    try:
        work = dist.all_to_all_single(found, given, received, sending, async_op=True)
        assert work is not None, "it is of the default group"
        if limit is None:
            work.wait()
        else:
            work.wait(limit)
    except RuntimeError as error:
        raise RankLost(f"{kind}: {error}") from error
