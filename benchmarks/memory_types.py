"""Memory of an engine with a million nodes of two types and ten million edges of three types with eight features.

python -m benchmarks.memory_types [--scale 1]

The default group learns and is served, in this process alone: Redis and the worker's buffers of the log are not in it.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Iterator
from itertools import chain

import psutil
import torch

from benchmarks.graphs import GraphArrays, arxiv_shaped
from benchmarks.prepared import in_parts
from benchmarks.report import emit
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, UpsertEdge, UpsertNode
from olad_core.graph_types import EdgeType, NodeType
from service.settings import Settings
from service.worker.assembly import engine_config
from service.worker.temporal_library import import_temporal_library

GIB = 2**30
FEATURES = {"account": 32, "merchant": 64}
EDGE_FEATURES = 8
RELATIONS = ("paid", "refunded", "knows")


def main() -> None:
    """Apply the graph, learn until a version is served and everything is computed, and print what memory it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the graph")
    given = parser.parse_args()
    graph = arxiv_shaped(int(1_000_000 * given.scale), int(10_000_000 * given.scale), max(FEATURES.values()), classes=8)
    before = psutil.Process().memory_info().rss
    engine = served(graph)
    process = psutil.Process().memory_info().rss
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results = {
        "generated_gib": before / GIB,
        "worker_gib": (process - before) / GIB,
        "worker_largest_gib": (largest - before) / GIB,
        "nodes": engine.graph.num_nodes,
        "edges": engine.graph.num_edges,
    }
    emit("memory_types", results, at_most={"worker_largest_gib": 10.0})


def served(graph: GraphArrays) -> Engine:
    """An engine that holds the graph, has learned a little and serves predictions of all nodes."""
    torch.set_num_threads(1)
    import_temporal_library()
    engine = Engine(engine_config(Settings.model_validate({})), torch.device("cpu"))
    edge_types = {name: EdgeType(feature_width=EDGE_FEATURES, directed=True) for name in RELATIONS}
    node_types = {name: NodeType(feature_width=width) for name, width in FEATURES.items()}
    engine.declare("1-0", GraphSchema(directed=True, node_types=node_types, edge_types=edge_types))
    for events in chain(in_parts(_nodes(graph)), in_parts(_edges(graph))):
        engine.apply("1-0", events, 0.0)
        engine.refresh()
    while engine.versions.served is None:
        engine.learn(1)
    engine.refresh()
    engine.take_publication()
    return engine


def _nodes(graph: GraphArrays) -> Iterator[Event]:
    kinds = tuple(FEATURES)
    for node, (x, label) in enumerate(zip(graph.x, graph.label.tolist(), strict=True)):
        kind = kinds[node % 2]
        known = str(label) if node % 10 == 0 else None
        yield UpsertNode(id=str(node), type=kind, x=x[: FEATURES[kind]].tolist(), label=known)


def _edges(graph: GraphArrays) -> Iterator[Event]:
    x = [round(0.1 * place, 1) for place in range(EDGE_FEATURES)]
    for place, (source, target) in enumerate(zip(graph.src.tolist(), graph.dst.tolist(), strict=True)):
        yield UpsertEdge(src=str(source), dst=str(target), type=RELATIONS[place % 3], x=x)


if __name__ == "__main__":
    main()
