"""Runs supersteps on torch.distributed: each exchange is one all-to-all of sizes and one of records."""

from __future__ import annotations

import zlib
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist

from olad_core.partition.exchange import Outgoing, OutOfStep, Records, Superstep, Traffic

Outcome = TypeVar("Outcome")


def run(superstep: Superstep[Outcome], traffic: Traffic | None = None) -> Outcome:
    """Run one rank's work in the default process group, on CPUs; all its ranks have to do so.

    Args:
        superstep: of this rank.
        traffic: counts what this rank sends.

    Raises:
        OutOfStep: another rank exchanges something else.
        RuntimeError: a rank is gone, or has not answered within the time limit of the group.
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
        records = exchange(sent)


def exchange(sent: Outgoing) -> list[Records]:
    """What all ranks send to this one, in the order of ranks.

    Raises:
        OutOfStep: another rank exchanges something else.
    """
    kind = zlib.crc32(sent.kind.encode())
    sizes = torch.tensor([[part.nbytes, kind] for part in sent.parts])
    coming = torch.empty_like(sizes)
    dist.all_to_all_single(coming, sizes)
    if others := np.flatnonzero(coming[:, 1].numpy() != kind).tolist():
        raise OutOfStep(f"rank {dist.get_rank()} exchanges {sent.kind}, ranks {others} something else")
    sending, received = sizes[:, 0].tolist(), coming[:, 0].tolist()
    joined = torch.from_numpy(np.concatenate(sent.parts).view(np.uint8))
    found = torch.empty(sum(received), dtype=torch.uint8)
    dist.all_to_all_single(found, joined, received, sending)
    parts = np.split(found.numpy(), np.cumsum(received)[:-1])
    return [part.view(sent.parts[0].dtype) for part in parts]
