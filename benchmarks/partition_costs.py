"""Memory of a rank and CPU time of all ranks, beside one worker without partitions, on a generated graph.

``python -m benchmarks.partition_costs --nodes 1000000 --edges 10000000 --partitions 4``. Each rank is a process of its
own on gloo. All of them follow the same batches and serve one frozen GCN; so does the process without partitions. What
trains is in neither. CPU time is measured by each process for itself, so that ranks may take turns on few cores.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.graphs import GraphArrays, arxiv_shaped
from benchmarks.partition_traffic import updates
from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.partition import Partition
from olad_core.serving.embedding import Embedding
from olad_core.serving.touched import merge
from olad_core.students import Student, build_student
from service.partitioned.collectives import run

CLASSES = 40
WIDTH = 64
BATCH = 50_000
_MIB = 2**20


@dataclass
class Costs:
    """CPU seconds by what was done, and bytes of memory at the end of it."""

    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def of(self, what: str, step: Callable[[], object]) -> None:
        """Carry out a step, and add its CPU time."""
        before = time.process_time()
        step()
        self.cpu[what] = self.cpu.get(what, 0.0) + time.process_time() - before

    def note_memory(self, what: str) -> None:
        """Note how much memory the process holds now."""
        gc.collect()
        lines = Path("/proc/self/status").read_text().splitlines()
        self.memory[what] = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def batches(graph: GraphArrays) -> Iterator[list[Event]]:
    """The nodes, then the edges."""
    for first in range(0, len(graph), BATCH):
        rows = graph.x[first : first + BATCH].tolist()
        yield [UpsertNode(str(first + place), x) for place, x in enumerate(rows)]
    for first in range(0, graph.src.size, BATCH):
        piece = slice(first, first + BATCH)
        ends = zip(graph.src[piece].tolist(), graph.dst[piece].tolist(), strict=True)
        yield [UpsertEdge(str(a), str(b)) for a, b in ends]


def student_for(graph: GraphArrays) -> Student:
    """What is served."""
    return build_student("gcn", graph.x.shape[1], WIDTH, CLASSES, seed=1)


def without_partitions(graph: GraphArrays, count: int, batch: int = 1) -> Costs:
    """One process that holds the whole graph, and follows updates in batches."""
    costs, live = Costs(), DynamicGraph()
    costs.note_memory("begin")
    for events in batches(graph):
        costs.of("load", lambda batch=events: live.apply(batch, 0.0))  # type: ignore[misc]
    embedding = Embedding.alone(student_for(graph), CLASSES, torch.device("cpu"))

    def embed() -> None:
        while not embedding.complete:
            embedding.advance(live)

    costs.of("embed", embed)
    costs.note_memory("end")

    def follow(events: list[Event]) -> None:
        touch = merge([live.apply(events, 0.0)], live)
        embedding.mark(live, touch)
        embedding.compute(live, embedding.marked(live))

    waiting = updates(graph, count)
    while some := list(islice(waiting, batch)):
        costs.of("updates", lambda these=some: follow(these))  # type: ignore[misc]
    return costs


def one_rank(graph: GraphArrays, count: int, rank: int, ranks: int, store: str) -> Costs:
    """One of several processes, each with its part."""
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=ranks, timeout=timedelta(minutes=30)
    )
    costs, partition = Costs(), Partition(rank, ranks)
    costs.note_memory("begin")
    for events in batches(graph):
        costs.of("load", lambda batch=events: run(partition.apply(batch, 0.0)))  # type: ignore[misc]
    partition.serve([student_for(graph)], CLASSES)
    costs.of("embed", lambda: run(partition.embed()))
    costs.note_memory("end")
    for event in updates(graph, count):
        costs.of("updates", lambda one=event: run(partition.apply([one], 0.0)))  # type: ignore[misc]
    dist.destroy_process_group()
    return costs


def measured(options: argparse.Namespace, *parts: list[str]) -> list[dict[str, Any]]:
    """What processes measure that run at the same time."""
    sizes = [f"--{name}={getattr(options, name)}" for name in ("nodes", "edges", "features", "updates", "partitions")]
    command = [sys.executable, "-m", "benchmarks.partition_costs", *sizes]
    running = [subprocess.Popen([*command, *part], stdout=subprocess.PIPE, text=True) for part in parts]
    found = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a process has failed")
    return [json.loads(each) for each in found]


def show(alone: dict[str, Any], ranks: list[dict[str, Any]]) -> None:
    """Print both side by side."""

    def held(memory: dict[str, int]) -> tuple[int, int]:
        """What a process holds without the generated graph that it was given, and of this its part alone."""
        part = memory["end"] - memory["begin"]
        return memory["libraries"] + part, part

    base, part = held(alone["memory"])
    largest, largest_part = max(held(each["memory"]) for each in ranks)
    print(f"memory without partitions: {base / _MIB:,.0f} MiB, {part / _MIB:,.0f} of them for the graph and its layers")
    print(
        f"memory of the largest of {len(ranks)} ranks: {largest / _MIB:,.0f} MiB ({largest / base:.0%}), "
        f"{largest_part / _MIB:,.0f} of them for its part ({largest_part / part:.0%})"
    )
    for what, seconds in alone["cpu"].items():
        total = sum(each["cpu"][what] for each in ranks)
        print(
            f"CPU time to {what}: {seconds:,.1f} s without partitions, {total:,.1f} s by all ranks "
            f"({total / seconds:.2f} times)"
        )


def main() -> None:
    """Measure one process, then the ranks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--edges", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is None:
        (alone,) = measured(options, ["--part=alone"])
        with tempfile.TemporaryDirectory() as folder:
            store = f"--store={folder}/ranks"
            ranks = measured(options, *([f"--part={rank}", store] for rank in range(options.partitions)))
        print(
            f"{options.nodes:,} nodes, {options.edges:,} edges, {options.features} features, {options.updates} updates"
        )
        show(alone, ranks)
        return
    torch.set_num_threads(1)
    libraries = Costs()
    libraries.note_memory("libraries")
    graph = arxiv_shaped(options.nodes, options.edges, features=options.features)
    if options.part == "alone":
        costs = without_partitions(graph, options.updates)
    else:
        costs = one_rank(graph, options.updates, int(options.part), options.partitions, options.store)
    print(json.dumps({"cpu": costs.cpu, "memory": libraries.memory | costs.memory}))


if __name__ == "__main__":
    main()
