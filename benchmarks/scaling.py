"""Cost of an update as the graph grows at equal mean degree.

    python -m benchmarks.scaling [--rounds 20]

Batches of 100 edge events, half adds, half deletes; two layers of width 64. The sizes alternate in one run.
Edges join any two nodes, so that the distribution of degrees is the same at every size; with ``--citations``
the graph is citation-shaped, where hubs, and with them the rows that one update changes, grow with the graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from time import perf_counter

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch

from benchmarks.graphs import arxiv_shaped, uniform
from benchmarks.incremental_inference import batches, embed, load
from benchmarks.report import emit
from olad_core.serving.touched import merge
from olad_core.students import build_student

matplotlib.use("Agg")

SIZES = (10_000, 100_000, 1_000_000)
MEAN_DEGREE = 6.9
WIDTH, FEATURES, CLASSES = 64, 16, 8
TARGET = 1.5
"""Cost at the largest size over cost at the smallest, at most."""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="batches of each size and architecture")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the sizes")
    parser.add_argument("--batch", type=int, default=100, help="events in a batch")
    parser.add_argument("--citations", action="store_true", help="a citation-shaped graph")
    parser.add_argument("--plot", type=Path, help="PNG to draw the costs in")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ways = {}
    for full in SIZES:
        size = int(full * args.scale)
        arrays = (
            arxiv_shaped(size, int(size * MEAN_DEGREE), FEATURES, CLASSES)
            if args.citations
            else uniform(size, MEAN_DEGREE, FEATURES, CLASSES)
        )
        graph = load(arrays, directed=True)
        students = {name: build_student(name, FEATURES, WIDTH, CLASSES, seed=0) for name in ("sage", "gcn")}
        embeddings = {name: embed(graph, student, CLASSES) for name, student in students.items()}
        ways[size] = (graph, batches(arrays, args.batch, np.random.default_rng(1)), embeddings)
    spent: dict[tuple[str, int], list[float]] = {}
    for _ in range(args.rounds):
        for size, (graph, next_batch, embeddings) in ways.items():
            events = next_batch()
            started = perf_counter()
            touch = merge([graph.apply(events, 0.0)], graph)
            spent.setdefault(("apply", size), []).append(perf_counter() - started)
            for name, embedding in embeddings.items():
                started = perf_counter()
                embedding.mark(graph, touch)
                embedding.compute(graph, touch.direct)
                spent.setdefault((name, size), []).append(perf_counter() - started)
    costs = {key: 1e6 * median(values[2:]) / args.batch for key, values in spent.items()}
    sizes = list(ways)
    whole = {(name, size): costs["apply", size] + costs[name, size] for name in ("sage", "gcn") for size in sizes}
    costs_by_name = {f"{name}_us_at_{size}": round(cost, 1) for (name, size), cost in whole.items()}
    costs_by_name |= {f"apply_us_at_{size}": round(costs["apply", size], 1) for size in sizes}
    ratios = {
        f"{name}_largest_to_smallest": round(whole[name, sizes[-1]] / whole[name, sizes[0]], 2)
        for name in ("sage", "gcn")
    }
    emit("scaling", {**costs_by_name, **ratios}, at_most=dict.fromkeys(ratios, TARGET))
    if args.plot:
        plot(whole, sizes, args.plot)


def plot(costs: dict[tuple[str, int], float], sizes: list[int], path: Path) -> None:
    """Draw the cost of an update against the size of the graph."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for name, marker in (("gcn", "o"), ("sage", "s")):
        axes.plot(sizes, [costs[name, size] for size in sizes], marker=marker, label=name)
    axes.set(xscale="log", xlabel="nodes", ylabel="microseconds an update", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
