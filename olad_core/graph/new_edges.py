"""Which edges of an entry are new: what a task predicts when it arrives, before it is applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.graph.store import DynamicGraph


def new_edges(
    graph: DynamicGraph,
    edge_type: str,
    ends: Sequence[tuple[str, str]],
    ids: Sequence[str | None],
    rows: npt.NDArray[np.int64],
) -> list[int]:
    """Places of the edges of a type that are not in the graph, each edge once.

    Args:
        graph: before the entry.
        edge_type: of the edges.
        ends: ids of source and target of each.
        ids: of the edges; None where those of the type have none.
        rows: of both ends ``[n, 2]``, -1 where there is no such node.
    """
    keys: list[Any]
    if graph.relation_rules[edge_type].ids:
        there = graph.find_edges(edge_type, [name or "" for name in ids]).source >= 0
        keys = list(ids)
    else:
        known = np.flatnonzero((rows >= 0).all(axis=1))
        relation = graph.relations.index(edge_type)
        found = graph.edges_between(rows[known, 0], rows[known, 1], np.full(known.size, relation))
        directed = graph.relation_rules[edge_type].directed
        held = set(zip(found.source.tolist(), found.target.tolist(), strict=True))
        held |= set() if directed else {(target, source) for source, target in held}
        there = np.array([(source, target) in held for source, target in rows.tolist()], np.bool_)
        keys = [pair if directed else tuple(sorted(pair)) for pair in ends]
    first: dict[Any, int] = {}
    for place, key in enumerate(keys):
        if not there[place]:
            first.setdefault(key, place)
    return list(first.values())
