"""Whether a list of partners that scores some candidates has those that scoring all of them would list.

python -m benchmarks.link_candidates [--graph bitcoin generated] [--lists 200] [--scale 1]

On bitcoin_otc 500 candidates are scored of all who were rated, on a generated graph 10,000 of 100,000. The lists are of
the sources of edges that come next. ``hits`` are the lists that have the target of that edge. Both graphs take about
four minutes of CPU time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.learning.links import SCHEMA, ratings
from benchmarks.report import emit
from olad_core.config import EngineConfig, TrainerConfig
from olad_core.engine import Engine
from olad_core.events import Event, UpsertEdge
from olad_core.link_tasks import LinkAnswer
from olad_core.tasks.link import MOST_SCORED

RATINGS, RATED_BEFORE, LIMIT = 35_592, 30_000, 500
"""Ratings of bitcoin_otc, those that are there when lists are asked for, and candidates that are scored of each."""
NODES, GROUP = 100_000, 50
"""Nodes of the generated graph, all of them candidates, and those of a group."""
LISTED = 10


class Stream(NamedTuple):
    """Edges of a graph in entries, and which come next.

    Attributes:
        entries: that are there when lists are asked for.
        following: edges that come after them.
        limit: candidates that are scored for one list.
    """

    entries: Iterable[Sequence[Event]]
    following: Sequence[UpsertEdge]
    limit: int


def bitcoin(scale: float) -> Stream:
    """The ratings of bitcoin_otc, as far as a share of them."""
    entries = ratings(int(RATINGS * scale), 20)
    before = int(RATED_BEFORE * scale) // 20
    following = [each for entry in entries[before:] for each in entry if isinstance(each, UpsertEdge)]
    return Stream(entries[:before], following, int(LIMIT * scale))


def generated(scale: float) -> Stream:
    """A generated graph in which groups, popularity and the time decide which edge comes next.

    Half of the edges stay in the group of their source, a quarter lead to nodes that are popular, the others to nodes
    that are popular for a while. One node is ten times as active as another one. Every node has one edge first.
    """
    nodes, random = int(NODES * scale), np.random.default_rng(0)
    edges = 3 * nodes
    source = (nodes * random.random(edges) ** 2).astype(np.int64)
    target = random.permutation(nodes)
    group = source[nodes:] // GROUP * GROUP + (GROUP * random.random(2 * nodes) ** 2).astype(np.int64)
    popular = (nodes * random.random(2 * nodes) ** 4).astype(np.int64) * 7_919 % nodes
    lately = (np.arange(2 * nodes) // 1_000 * 104_729 + random.integers(100, size=2 * nodes)) % nodes
    kind = random.random(2 * nodes)
    target = np.concatenate([target, np.select([kind < 0.5, kind < 0.75], [group, popular], lately)])
    events = [
        UpsertEdge(f"n{one}", f"n{other % nodes}", None, float(at), "rated")
        for at, (one, other) in enumerate(zip(source.tolist(), target.tolist(), strict=True))
        if one != other
    ]
    last = len(events) - nodes // 20
    entries = [events[first : first + 2_000] for first in range(0, last, 2_000)]
    return Stream(entries[:-1], events[last:], int(MOST_SCORED * scale))


STREAMS = {"bitcoin": bitcoin, "generated": generated}


def measured(stream: Stream, lists: int) -> dict[str, float]:
    """Recall of the best partners, hits of both ways, and the CPU time of one list."""
    engine = Engine(EngineConfig(trainer=TrainerConfig(seed=0)), torch.device("cpu"))
    engine.declare("0-1", SCHEMA)
    for number, events in enumerate(stream.entries, 1):
        engine.apply(f"{number}-0", events, 0.0)
    recall, hits, seconds, scored = [], np.zeros(2), np.zeros(2), np.zeros(2)
    for edge in islice(_asked(engine, stream.following), lists):
        found = []
        for way, most in enumerate((engine.graph.num_nodes, stream.limit)):
            began = time.process_time()
            answer = engine.link_tasks.partners(
                engine.graph, "rated", str(edge.src), LISTED, linked=False, most_scored=most
            )
            seconds[way] += time.process_time() - began
            assert isinstance(answer, LinkAnswer), answer
            found.append(answer.nodes)
            scored[way] += answer.scored
            hits[way] += str(edge.dst) in answer.nodes
        recall.append(len({*found[0]} & {*found[1]}) / len(found[0]))
    asked = max(1, len(recall))
    return {
        "lists": len(recall),
        "scored_all": scored[0] / asked,
        "scored_some": scored[1] / asked,
        "recall": float(np.mean(recall)),
        "recall_worst_tenth": float(np.quantile(recall, 0.1)),
        "hits_all": hits[0] / asked,
        "hits_some": hits[1] / asked,
        "ms_all": 1e3 * seconds[0] / asked,
        "ms_some": 1e3 * seconds[1] / asked,
    }


def _asked(engine: Engine, edges: Iterable[UpsertEdge]) -> Iterator[UpsertEdge]:
    """Edges between nodes that are there, which are not linked, evenly spread; one for each source."""
    seen: set[str] = set()
    for edge in edges:
        source, target = engine.graph.rows([str(edge.src), str(edge.dst)]).tolist()
        if min(source, target) < 0 or str(edge.src) in seen:
            continue
        if target not in engine.graph.out_neighbours(np.array([source])).index:
            seen.add(str(edge.src))
            yield edge


def main() -> None:
    """Print what each graph showed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", choices=STREAMS, nargs="+", default=[*STREAMS])
    parser.add_argument("--lists", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1.0, help="of the graphs and of the limits")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.graph:
        results = measured(STREAMS[name](given.scale), given.lists)
        emit(f"link_candidates.{name}", results, at_least={"recall": 0.95})


if __name__ == "__main__":
    main()
