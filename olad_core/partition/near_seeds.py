"""Seeds of a step that are neighbours of seeds at other ranks: local knowledge reads the embeddings of both.

The owner of a seed sends its embeddings to the ranks that read them, and gets the gradients of their losses back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from olad_core.graph.arrays import Int64s
from olad_core.learning.discriminators import seen
from olad_core.learning.group import Group
from olad_core.learning.step import Computed, recognised_terms, recognising_terms
from olad_core.messages.block import Block
from olad_core.partition.exchange import Outgoing, Superstep, by_rank
from olad_core.partition.gradients import sum_gradients
from olad_core.partition.sampling import PartSample
from olad_core.partition.store import PartitionStore


@dataclass(frozen=True)
class NearSeeds:
    """Seeds of other ranks among the drawn neighbours of this rank's seeds, and the reverse.

    Attributes:
        graph: the edges among all seeds to this rank's; its sources are these, and then those of other ranks.
        embeddings: ``[G, m, width]``, those of other ranks: leaves of the backward pass.
        counts: how many of them each rank has, in the order of ranks.
        shown: for each rank, places of this rank's seeds whose embeddings it has.
    """

    graph: Block
    embeddings: Tensor
    counts: Sequence[int]
    shown: Sequence[Int64s]


def near_seeds(store: PartitionStore, drawn: PartSample, embeddings: Tensor) -> Superstep[NearSeeds]:
    """Bring together the embeddings of seeds that are neighbours.

    Args:
        store: this rank's part.
        drawn: the sample of this rank's seeds.
        embeddings: of these ``[G, n, width]``.
    """
    sample, rank = drawn.sample, store.rank
    near = np.unique(sample.blocks[-1].sources.numpy())
    near = near[(near >= sample.num_seeds) & (drawn.owner[near] != rank)]
    near = near[np.argsort(drawn.owner[near], kind="stable")]
    asked = yield by_rank("neighbours of seeds", sample.rows[near], drawn.owner[near], store.ranks)
    shown, parts = [], []
    rows = embeddings.detach().transpose(0, 1).numpy()
    record = np.dtype([("asked", "<i4"), ("row", "<f4", rows.shape[1:])])
    for numbers in asked:
        _, of_asked, own = np.intersect1d(numbers, sample.rows[: sample.num_seeds], return_indices=True)
        part = np.empty(own.size, record)
        part["asked"], part["row"] = of_asked, rows[own]
        shown.append(own)
        parts.append(part)
    received = yield Outgoing("embeddings of seeds", parts)
    of_rank = np.split(near, np.searchsorted(drawn.owner[near], np.arange(1, store.ranks)))
    places = np.concatenate([mine[part["asked"]] for mine, part in zip(of_rank, received, strict=True)])
    others = np.concatenate([part["row"] for part in received])
    return NearSeeds(
        sample.among_seeds(torch.from_numpy(places)),
        torch.from_numpy(others).transpose(0, 1).requires_grad_(),
        [part.size for part in received],
        shown,
    )


def local_terms_over_ranks(
    group: Group, store: PartitionStore, near: NearSeeds, embeddings: Tensor, weights: Tensor, share: float
) -> Superstep[tuple[Tensor, Tensor]]:
    """The discriminators of all ranks take the same step; then what the students lose by being recognised.

    Args:
        group: students and discriminators.
        store: this rank's part.
        near: neighbours of this rank's seeds.
        embeddings: of these seeds ``[G, n, width]``.
        weights: ``[G, G]``, how much student ``j`` teaches student ``i``.
        share: of all seeds, that are this rank's.

    Returns:
        Losses ``[G]`` of the discriminators, and of the students times ``local_weight``: this rank's parts of both.
    """
    inputs = seen(torch.cat([embeddings, near.embeddings], dim=1), near.graph)
    optimizer, losses = group.discriminator_optimizer, embeddings.new_zeros(len(group.students))
    optimizer.zero_grad()
    if share:  # The mean over no seed is not a number.
        losses = share * recognising_terms(group, inputs.detach())
        losses.sum().backward()  # type: ignore[no-untyped-call]
    total = yield from sum_gradients(optimizer.parameters, losses.detach(), store.rank, store.ranks)
    if torch.isfinite(total).all():
        optimizer.step()
    local = share * recognised_terms(group, inputs, weights) if share else torch.zeros_like(losses)
    return losses.detach(), local


def return_gradients(near: NearSeeds, computed: Computed | None) -> Superstep[None]:
    """Add to the gradients at embeddings of this rank's seeds those of the losses of other ranks.

    Args:
        near: neighbours of the seeds, whose gradients are known.
        computed: by the students of this rank's seeds; None where it has none.
    """
    found = near.embeddings.grad
    gradients = (torch.zeros_like(near.embeddings) if found is None else found).transpose(0, 1).numpy()
    records = np.empty(len(gradients), [("row", "<f4", gradients.shape[1:])])
    records["row"] = gradients
    parts = np.split(records, np.cumsum(near.counts)[:-1])
    received = yield Outgoing("gradients of embeddings", parts)
    if computed is None:
        return
    total = torch.zeros_like(computed.embeddings)
    for places, part in zip(near.shown, received, strict=True):
        total[:, places] += torch.from_numpy(part["row"].copy()).transpose(0, 1)
    sizes = [len(leaf) for leaf in computed.by_stack]
    for leaf, more in zip(computed.by_stack, torch.split(total, sizes), strict=True):
        leaf.grad = more if leaf.grad is None else leaf.grad + more
