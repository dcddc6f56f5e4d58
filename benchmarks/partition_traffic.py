"""Rows and bytes that ranks exchange for an update, on a generated graph of ogbn-arxiv's shape.

``python -m benchmarks.partition_traffic``, under a minute of CPU time. All ranks are in one process. It counts; it
measures no time. Beside it stands what distributed recomputation would send: for each row that an update makes a rank
compute, all rows that this reads and other ranks own, each once for a rank.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.graphs import GraphArrays, arxiv_shaped
from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.graph.arrays import Int64s
from olad_core.partition import Partition, Traffic, run_in_lockstep
from olad_core.partition.layers import PartitionLayers
from olad_core.students import build_student

CLASSES = 40


class Recomputation:
    """Rows that distributed recomputation would send.

    Attributes:
        rows: by the layer that is computed.
    """

    def __init__(self) -> None:
        self.rows: Counter[int] = Counter()

    def count(self, layers: PartitionLayers, layer: int, rows: Int64s) -> None:
        """Count what a rank would receive to compute rows of a layer."""
        store = layers._store
        sources = np.unique(store.graph.in_neighbours(rows).index)
        self.rows[layer] += int(np.count_nonzero(store.owner[sources] != store.rank))


def counting(recomputation: Recomputation) -> None:
    """Have every computation counted."""
    compute = PartitionLayers._compute

    def counted(self: PartitionLayers, layer: int, rows: Int64s) -> Int64s:
        recomputation.count(self, layer, rows)
        return compute(self, layer, rows)

    PartitionLayers._compute = counted  # type: ignore[method-assign]


def graph_events(graph: GraphArrays) -> Iterator[list[Event]]:
    """The nodes, then the edges."""
    yield [UpsertNode(str(node), x) for node, x in enumerate(graph.x.tolist())]
    yield [UpsertEdge(str(a), str(b)) for a, b in zip(graph.src.tolist(), graph.dst.tolist(), strict=True)]


def updates(graph: GraphArrays, count: int) -> Iterator[Event]:
    """Edges like those that are there, and new features, by turns."""
    random = np.random.default_rng(1)
    for turn in range(count):
        if turn % 2:
            node = int(random.integers(len(graph)))
            yield UpsertNode(str(node), (graph.x[node] + random.normal(size=graph.x.shape[1])).tolist())
        else:
            source, end = random.integers(len(graph)), graph.dst[random.integers(graph.dst.size)]
            yield UpsertEdge(str(int(source)), str(int(end)))


def measure(graph: GraphArrays, architecture: str, ranks: int, count: int, recomputation: Recomputation) -> None:
    """Print what an update sends on average."""
    parts = [Partition(rank, ranks) for rank in range(ranks)]
    student = build_student(architecture, graph.x.shape[1], 64, CLASSES, seed=1)
    for part in parts:
        part.serve([student], CLASSES)
    for events in graph_events(graph):
        run_in_lockstep([part.apply(events, 0.0) for part in parts])
    traffic, changed = Traffic(), 0
    recomputation.rows.clear()
    for event in updates(graph, count):
        outcomes = run_in_lockstep([part.apply([event], 0.0) for part in parts], traffic)
        changed += sum(outcome.changed[0].size for outcome in outcomes)
    copies = np.mean([part.store.copies / (len(graph) - int(part.store.owned.sum())) for part in parts])
    print(f"{architecture}, {ranks} ranks: {changed / count:,.0f} answers change, {copies:.0%} of other nodes copied")
    all_sent = all_recomputed = 0.0
    for layer in sorted(recomputation.rows):
        kind = f"rows of layer {layer - 1}"
        rows, size = traffic.records[kind], traffic.size[kind]
        other = recomputation.rows[layer]
        record = size / max(rows, 1)
        all_sent, all_recomputed = all_sent + size, all_recomputed + other * record
        print(
            f"  {kind}: {rows / count:,.1f} rows, {size / count:,.0f} bytes; "
            f"recomputation {other / count:,.1f} rows, {other * record / count:,.0f} bytes"
        )
    numbers = traffic.size["node numbers"] / count
    share = (all_sent + traffic.size["node numbers"]) / all_recomputed
    print(f"  numbers of nodes: {numbers:,.0f} bytes; all together {share:.1%} of recomputation", flush=True)


def main() -> None:
    """Measure GCN and GAT over two and four ranks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--updates", type=int, default=40)
    options = parser.parse_args()
    graph = arxiv_shaped(options.nodes, int(options.nodes * 1_166_243 / 169_343), features=32)
    recomputation = Recomputation()
    counting(recomputation)
    print(f"{len(graph):,} nodes, {graph.src.size:,} edges, {options.updates} updates; an update on average:")
    for architecture in ("gcn", "gat"):
        for ranks in (2, 4):
            measure(graph, architecture, ranks, options.updates, recomputation)


if __name__ == "__main__":
    main()
