"""The edges of one node, those of the greatest weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from olad_core.graph.neighbours import Neighbours
from olad_core.graph.part import PartTooLarge
from olad_core.graph.store import DynamicGraph

Rows = npt.NDArray[np.int64]

Direction: TypeAlias = Literal["in", "out", "both"]


@dataclass(frozen=True)
class NodeEdge:
    """An edge of a node. Edges with ids between the same two nodes are one here.

    Attributes:
        node: id of the other end.
        direction: into the node, out of it, or both where edges of the type have no direction.
        relation: type of the edge.
        weight: of the edge.
        label: class that is known of the other end.
    """

    node: str
    direction: Direction
    relation: str
    weight: float
    label: str | None


@dataclass(frozen=True)
class NodeEdges:
    """The edges of a node.

    Attributes:
        label: class that is known of the node.
        edges: those of the greatest weight, the greatest first.
        counted: how many edges there are.
    """

    label: str | None
    edges: tuple[NodeEdge, ...]
    counted: int


def edges_of_node(graph: DynamicGraph, row: int, shown: int, most: int) -> NodeEdges:
    """List the edges of a node.

    Args:
        graph: the live graph.
        row: of the node.
        shown: how many edges are listed at most.
        most: edges that may be read.

    Raises:
        PartTooLarge: the node has more edges.
    """
    at = np.array([row], np.int64)
    need = int(graph.in_degree(at)[0] + graph.out_degree(at)[0])
    if need > most:
        raise PartTooLarge(need, most)
    into, out = graph.in_neighbours(at), graph.out_neighbours(at)
    directed = np.array([rule.directed for rule in graph.relation_rules.values()], np.bool_)
    # Where edges have no direction, those that come in and those that lead out are the same.
    leaving = directed[_relations(out)]
    other = np.concatenate([into.index, out.index[leaving]])
    weight = np.concatenate([into.weight, out.weight[leaving]])
    relation = np.concatenate([_relations(into), _relations(out)[leaving]])
    order = np.argsort(-weight, kind="stable")[:shown]
    names = graph.relations
    edges = tuple(
        NodeEdge(
            node,
            ("in" if place < into.index.size else "out") if directed[relation[place]] else "both",
            names[int(relation[place])],
            float(weight[place]),
            _known(graph, int(other[place])),
        )
        for node, place in zip(graph.ids(other[order]), order.tolist(), strict=True)
    )
    return NodeEdges(_known(graph, row), edges, other.size)


def _relations(near: Neighbours) -> Rows:
    """The number of the type of each edge of one row."""
    return np.repeat(np.arange(near.types), np.diff(near.groups))


def _known(graph: DynamicGraph, row: int) -> str | None:
    number = int(graph.label[row])
    return graph.classes[number] if number >= 0 else None
