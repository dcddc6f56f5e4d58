"""Embeddings of nodes by a student of the served version, computed from whole neighbourhoods when they are asked for.

Nothing of them is stored: the layers of a served version may hold logits in their place. Layer 0 is computed from the
inputs of now, so marks do not matter, and what is computed is exact.
See ``docs/decisions/0049-embeddings-and-links.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from olad_core.graph import DynamicGraph
from olad_core.graph.part import PartTooLarge
from olad_core.messages.block import Block
from olad_core.messages.sample import inputs, to_block
from olad_core.serving.combination import Combination
from olad_core.serving.served_member import ServedMember
from olad_core.serving.versions import HeldVersion

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NodeEmbeddings:
    """Embeddings of the first ones of the nodes that were asked for.

    Attributes:
        student: whose embeddings they are.
        there: bool ``[n]``, which of the first n nodes are in the graph.
        vectors: float32 ``[n, width]``; zeros where there is no node.
        work: nodes and edges that were read.
    """

    student: str
    there: npt.NDArray[np.bool_]
    vectors: Floats
    work: int


def node_embeddings(graph: DynamicGraph, held: HeldVersion, nodes: Sequence[str], most: int) -> NodeEmbeddings:
    """Embed as many of the first nodes as can be embedded within a bound: half of them, where all are too many.

    Of a version of the group the embeddings are those of the student that counts most in its answers: coordinates of
    different students have nothing in common.

    Args:
        graph: the live graph.
        held: the version that readers get.
        nodes: ids; of no node, too.
        most: nodes and edges that may be read.

    Raises:
        PartTooLarge: the first node alone needs more.
    """
    place = leading_student(held.embedding.combination, len(held.embedding.members))
    member, name = held.embedding.members[place], [*held.members][place]
    rows = graph.rows(nodes)
    while True:
        there = rows >= 0
        distinct, places = np.unique(rows[there], return_inverse=True)
        try:
            read = _whole_neighbourhoods(graph, distinct, member, most)
        except PartTooLarge:
            if len(rows) == 1:
                raise
            rows = rows[: len(rows) // 2]
            continue
        vectors = np.zeros((len(rows), member.student.width), np.float32)
        if len(distinct):
            vectors[there] = _embed(graph, member, read)[places]
        return NodeEmbeddings(name, there, vectors, read.count)


def leading_student(combination: Combination | None, students: int) -> int:
    """Number of the student that counts most in a version's answers: by its exponent in the pool."""
    if combination is None:
        return 0
    return int(np.argmax(combination.weights.exponents[:students]))


@dataclass(frozen=True)
class _Read:
    """What embedding rows reads.

    Attributes:
        rows: of layer 0.
        blocks: of all in-neighbours, one for each layer, first layer first.
        count: of nodes and edges.
    """

    rows: Rows
    blocks: tuple[Block, ...]
    count: int


def _whole_neighbourhoods(graph: DynamicGraph, rows: Rows, member: ServedMember, most: int) -> _Read:
    """What embedding distinct rows reads.

    Raises:
        PartTooLarge: it is more than so many nodes and edges.
    """
    device, blocks, count = member.layers[0].device, [], 0
    for _ in range(member.student.num_layers):
        count += len(rows) + int(graph.in_degree(rows).sum())
        if count > most:
            raise PartTooLarge(count, most)
        block, rows = to_block(graph, rows, graph.in_neighbours(rows), device)
        blocks.append(block)
    return _Read(rows, tuple(reversed(blocks)), count)


def _embed(graph: DynamicGraph, member: ServedMember, read: _Read) -> Floats:
    """Embeddings ``[n, width]`` of the last block's targets."""
    student = member.student
    with torch.no_grad():
        given = inputs(graph, read.rows, student.feature_width, member.layers[0].device)
        layer = student.encode(replace(given, memory=member.recall(read.rows)), student.scale)
        for number, block in enumerate(read.blocks, start=1):
            layer = student.layer(number, layer, block)
    vectors: Floats = layer.cpu().numpy()
    return vectors
