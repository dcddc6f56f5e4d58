"""How many events a second the graph store applies, on a graph the size of ogbn-arxiv; one line of JSON last.

python benchmarks/graph_store.py [--batches 300]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np

from olad_core.events import Event, LabelNode, RemoveEdge, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph

NODES, EDGES, BATCH, WIDTH = 169_343, 1_166_243, 1000, 128


def main() -> None:
    """Fill a graph, then time batches of each kind on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=300, help="batches timed for each kind of event")
    batches = parser.parse_args().batches
    random = np.random.default_rng(0)
    graph = DynamicGraph(feature_width=WIDTH, edge_lifetime=1e9)
    graph.apply([UpsertNode(id=str(node), label=str(node % 40)) for node in range(NODES)], time=0.0)

    def pairs() -> list[tuple[str, str]]:
        # Cubed, so that some nodes become hubs.
        ends = (random.random((2, BATCH)) ** 3 * NODES).astype(np.int64)
        return list(zip(map(str, ends[0].tolist()), map(str, ends[1].tolist()), strict=True))

    def upserts() -> list[Event]:
        return [UpsertEdge(src=source, dst=target) for source, target in pairs()]

    def mixed() -> list[Event]:
        added = pairs()
        return [
            *(UpsertEdge(src=source, dst=target, weight=2.0) for source, target in added[:900]),
            *(RemoveEdge(src=source, dst=target) for source, target in added[:50]),
            *(LabelNode(id=source, label="7") for source, _ in added[900:950]),
        ]

    def features() -> list[Event]:
        x = random.random((BATCH, WIDTH)).tolist()
        return [UpsertNode(id=source, x=row) for (source, _), row in zip(pairs(), x, strict=True)]

    def removals() -> list[Event]:
        nodes = random.integers(0, NODES, BATCH // 2).tolist()
        return [event for node in map(str, nodes) for event in (RemoveNode(id=node), UpsertNode(id=node))]

    loading = perf_counter()
    while graph.num_edges < EDGES:
        graph.apply(upserts(), time=1.0)
    loaded = perf_counter() - loading
    print(f"{graph.num_nodes} nodes, {graph.num_edges} edges after {loaded:.1f} s, events made on the way")
    results = {
        "edge_upserts_per_s": rate(graph, upserts, batches),
        "mixed_events_per_s": rate(graph, mixed, batches),
        "feature_events_per_s": rate(graph, features, batches),
        "node_removals_and_returns_per_s": rate(graph, removals, batches),
    }
    rows = random.integers(0, graph.capacity, 100_000)
    graph.in_neighbours(rows[:1])
    start = perf_counter()
    found = graph.in_neighbours(rows)
    results["neighbours_read_per_s"] = found.index.size / (perf_counter() - start)
    graph.sample_in_neighbours(rows[:1], 10, seed=0)
    start = perf_counter()
    results["neighbours_sampled_per_s"] = graph.sample_in_neighbours(rows, 10, seed=0).index.size / (
        perf_counter() - start
    )
    for name, value in results.items():
        print(f"{name:>32}: {value:12,.0f}")
    print(json.dumps({"nodes": graph.num_nodes, "edges": graph.num_edges, "batch": BATCH, **results}))


def rate(graph: DynamicGraph, make: Callable[[], Sequence[Event]], batches: int) -> float:
    """Events a second in the median batch, the first ones left out."""
    seconds = []
    for at in range(batches + 3):
        batch = make()
        start = perf_counter()
        graph.apply(batch, time=2.0 + at)
        seconds.append((perf_counter() - start) / len(batch))
    return 1 / statistics.median(seconds[3:])


if __name__ == "__main__":
    main()
