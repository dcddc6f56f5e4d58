"""Values of generated nodes at arrival: the task, the means of neighbours and of all nodes, and gradient boosting.

python -m benchmarks.learning.node_values [--seeds 5] [--nodes 3000]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.report import emit
from olad_core.events import GraphSchema, LabelNode, UpsertEdge, UpsertNode
from olad_core.task_types import NodeValueTask
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.replay.arrival_stream import Arrival
from service.replay.label_delay import delay_own_labels
from service.replay.sources import Source, StreamOptions
from service.settings import Settings

NODES, FEATURES, DELAY = 3_000, 4, 50
TURN = 4_000
"""Nodes after which the drift has come round."""
NEAR, LATELY = 4, 300
"""Neighbours of a node, of so many nodes that came before it."""
SCHEMA = GraphSchema(feature_width=FEATURES, tasks={"price": NodeValueTask(kind="node_value")})
BASELINES = ("vote", "majority", "gradient-boosting")


def arrivals(seed: int, nodes: int) -> Iterator[Arrival]:
    """Nodes whose values depend on their features, in a way that drifts, and on the values of their neighbours."""
    draw = np.random.default_rng(seed)
    values = np.zeros(nodes)
    group = draw.integers(0, 6, nodes)
    for node in range(nodes):
        phase = 2 * np.pi * node / TURN
        x = draw.standard_normal(FEATURES).round(3)
        lately = np.arange(max(0, node - LATELY), node)
        alike = lately[group[lately] == group[node]]
        near = draw.choice(alike, min(NEAR, len(alike)), replace=False)
        around = values[near].mean() if len(near) else 10.0 + 4.0 * group[node]
        own = 3.0 * np.cos(phase) * x[0] + 3.0 * np.sin(phase) * x[1] + abs(x[2])
        values[node] = 0.8 * around + 0.2 * (10.0 + 4.0 * group[node]) + own + 0.5 * draw.standard_normal()
        name, time = f"n{node}", float(node)
        events = [UpsertNode(id=name, x=x.tolist(), ts=time)]
        edges = [UpsertEdge(src=name, dst=f"n{other}", ts=time) for other in near.tolist()]
        yield Arrival((*events, *edges), name, label=LabelNode(id=name, value=round(float(values[node]), 4)))


def source(seed: int, nodes: int = NODES, delay: int = DELAY) -> Source:
    """A stream of this seed, whose values come some nodes later."""
    batches = StreamOptions().batches(delay_own_labels(arrivals(seed, nodes), delay))
    return Source("prices", None, batches, SCHEMA, nodes=nodes)


def main() -> None:
    """Each seed in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=NODES)
    arguments = parser.parse_args()
    results: dict[str, float] = {}
    for seed in range(arguments.seeds):
        report = evaluate(source(seed, arguments.nodes), configurations(Settings(), []), BASELINES)
        for contestant in report.contestants:
            (task,) = contestant.node_values
            figures = {"mae": task.mae, "rmse": task.rmse, "r2": task.r2, "coverage": task.coverage}
            if task.difference is not None:
                figures |= {"less": task.difference.value, "low": task.difference.low, "high": task.difference.high}
            results |= {
                f"seed_{seed}_{contestant.name}_{name}": value for name, value in figures.items() if value is not None
            }
    emit("node_values", results)


if __name__ == "__main__":
    main()
