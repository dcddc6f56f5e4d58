"""Embeddings of nodes over several ranks: owners embed their nodes from whole neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from olad_core.graph.arrays import Float32s, Int64s
from olad_core.graph.part import PartTooLarge
from olad_core.partition.exchange import Superstep
from olad_core.partition.sampling import whole_over_ranks
from olad_core.partition.store import PartitionStore
from olad_core.students import Student


@dataclass(frozen=True)
class EmbeddedPart:
    """What one rank has of the embeddings of the first ones of the nodes that were asked for.

    Attributes:
        count: n, how many these are; the same at all ranks.
        places: which of them this rank owns ``[m]``.
        vectors: float32 ``[m, width]``.
    """

    count: int
    places: Int64s
    vectors: Float32s


def embed_over_ranks(
    store: PartitionStore, student: Student, nodes: Sequence[str], most: int
) -> Superstep[EmbeddedPart]:
    """Embed as many of the first nodes as can be embedded within a bound: half of them, where all are too many.

    Hidden states of students that remember are zeros.

    Args:
        store: this rank's part.
        student: its weights.
        nodes: ids; of no node, too.
        most: nodes and edges that all ranks together may read.

    Raises:
        PartTooLarge: the first node alone needs more, which all ranks find at once.
    """
    rows = store.graph.rows(nodes)
    rows[(rows >= 0) & (store.owner[rows] != store.rank)] = -1
    while True:
        places = np.flatnonzero(rows >= 0)
        distinct, each = np.unique(rows[places], return_inverse=True)
        try:
            drawn = yield from whole_over_ranks(store, distinct, student.num_layers, student.feature_width, most)
        except PartTooLarge:
            if rows.size == 1:
                raise
            rows = rows[: rows.size // 2]
            continue
        vectors = np.zeros((0, student.width), np.float32)
        if distinct.size:
            with torch.no_grad():
                layer = student.encode(drawn.sample.inputs, student.scale)
                for number, block in enumerate(drawn.sample.blocks, start=1):
                    layer = student.layer(number, layer, block)
            vectors = layer.numpy()[each]
        return EmbeddedPart(rows.size, places, vectors)
