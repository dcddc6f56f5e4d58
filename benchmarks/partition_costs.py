"""Memory of a rank and CPU time of all ranks, beside one worker without partitions, on a generated graph.

``python -m benchmarks.partition_costs --nodes 1000000 --edges 10000000 --partitions 2 4``. Each rank is a process of
its own on gloo. All of them read the same batches, as they stand in the log, and serve one frozen GCN; so does the
process without partitions. What trains is in neither. Each process first follows a graph of some nodes, so that loops
are compiled. It measures its own CPU time, and what it holds in the end. All of them have one core, so that ranks take
turns, and two do not share what two threads of a core share.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.graphs import GraphArrays, arxiv_shaped
from benchmarks.partition_traffic import updates
from olad_core.event_codec import encode_log
from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.graph import Changes, DynamicGraph
from olad_core.graph.event_columns import columns_of_log
from olad_core.partition import Partition
from olad_core.serving.embedding import Embedding
from olad_core.serving.touched import merge
from olad_core.students import Student, build_student
from service.partitioned.collectives import run

CLASSES = 40
WIDTH = 64
BATCH = 50_000
_MIB = 2**20


@dataclass(frozen=True)
class Batches:
    """Batches as they stand in the log, of a graph and then of its updates.

    Attributes:
        graph: the nodes, then the edges.
        updates: of the graph.
        features: width of the nodes' features.
    """

    graph: Iterable[bytes]
    updates: Iterable[bytes]
    features: int


@dataclass
class Costs:
    """CPU seconds by what was done, and bytes of memory once the graph is embedded."""

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


def batches_of(graph: GraphArrays, count: int, batch: int = 1) -> Batches:
    """Those of a generated graph and of so many updates, so many in each batch."""
    entries = iter(list(updates(graph, count)))
    return Batches(
        map(encode_log, graph_events(graph)),
        [encode_log(some) for some in iter(lambda: list(islice(entries, batch)), [])],
        graph.x.shape[1],
    )


def graph_events(graph: GraphArrays) -> Iterator[list[Event]]:
    """The nodes, then the edges."""
    for first in range(0, len(graph), BATCH):
        rows = graph.x[first : first + BATCH].tolist()
        yield [UpsertNode(str(first + place), x) for place, x in enumerate(rows)]
    for first in range(0, graph.src.size, BATCH):
        piece = slice(first, first + BATCH)
        ends = zip(graph.src[piece].tolist(), graph.dst[piece].tolist(), strict=True)
        yield [UpsertEdge(str(a), str(b)) for a, b in ends]


def write(batches: Batches, folder: Path) -> None:
    """Write each batch into a file."""
    for name in ("graph", "updates"):
        for number, payload in enumerate(getattr(batches, name)):
            (folder / f"{name}-{number:06d}").write_bytes(payload)


def read(folder: Path, features: int) -> Batches:
    """What :func:`write` has written; one batch at a time is in memory."""
    graph, new = (sorted(folder.glob(f"{name}-*")) for name in ("graph", "updates"))
    return Batches(map(Path.read_bytes, graph), map(Path.read_bytes, new), features)


def student_for(features: int) -> Student:
    """What is served."""
    return build_student("gcn", features, WIDTH, CLASSES, seed=1)


def without_partitions(batches: Batches) -> Costs:
    """One process that holds the whole graph, and follows updates."""
    costs, live = Costs(), DynamicGraph()

    def apply(payload: bytes) -> Changes:
        return live.apply(columns_of_log(payload), 0.0)

    for payload in batches.graph:
        costs.of("load", lambda batch=payload: apply(batch))  # type: ignore[misc]
    embedding = Embedding.alone(student_for(batches.features), CLASSES, torch.device("cpu"))

    def embed() -> None:
        while not embedding.complete:
            embedding.advance(live)

    costs.of("embed", embed)
    costs.note_memory("end")

    def follow(payload: bytes) -> None:
        touch = merge([apply(payload)], live)
        embedding.mark(live, touch)
        embedding.compute(live, embedding.marked(live))

    for payload in batches.updates:
        costs.of("updates", lambda batch=payload: follow(batch))  # type: ignore[misc]
    return costs


def one_rank(batches: Batches, rank: int, ranks: int) -> Costs:
    """One of the processes of a group, each with its part."""
    costs, partition = Costs(), Partition(rank, ranks)

    def apply(payload: bytes) -> None:
        run(partition.apply(columns_of_log(payload), 0.0))

    for payload in batches.graph:
        costs.of("load", lambda batch=payload: apply(batch))  # type: ignore[misc]
    partition.serve([student_for(batches.features)], CLASSES)
    costs.of("embed", lambda: run(partition.embed()))
    costs.note_memory("end")
    for payload in batches.updates:
        costs.of("updates", lambda batch=payload: apply(batch))  # type: ignore[misc]
    return costs


def part(options: argparse.Namespace) -> Costs:
    """What one process measures."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    few, batches = arxiv_shaped(200, 1000, features=options.features), read(options.folder, options.features)
    before = Costs()
    if options.rank is None:
        without_partitions(batches_of(few, 4))
        before.note_memory("libraries")
        costs = without_partitions(batches)
    else:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{options.folder}/ranks-{options.ranks}",
            rank=options.rank,
            world_size=options.ranks,
            timeout=timedelta(minutes=30),
        )
        one_rank(batches_of(few, 4), options.rank, options.ranks)
        before.note_memory("libraries")
        costs = one_rank(batches, options.rank, options.ranks)
        dist.destroy_process_group()
    costs.memory |= before.memory
    return costs


def measured(options: argparse.Namespace, *parts: Sequence[str]) -> list[dict[str, Any]]:
    """What processes measure that run at the same time."""
    command = [sys.executable, "-m", "benchmarks.partition_costs", f"--features={options.features}"]
    running = [subprocess.Popen([*command, *part], stdout=subprocess.PIPE, text=True) for part in parts]
    found = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a process has failed")
    return [json.loads(each) for each in found]


def show(alone: dict[str, Any], ranks: list[dict[str, Any]]) -> None:
    """Print both side by side."""
    base, largest = alone["memory"], max((each["memory"] for each in ranks), key=lambda memory: memory["end"])
    whole, own = base["end"] - base["libraries"], largest["end"] - largest["libraries"]
    print(
        f"memory of the largest of {len(ranks)} ranks: {largest['end'] / _MIB:,.0f} MiB "
        f"({largest['end'] / base['end']:.0%}), {own / _MIB:,.0f} of them for its part ({own / whole:.0%})"
    )
    for what, seconds in alone["cpu"].items():
        total = sum(each["cpu"][what] for each in ranks)
        print(
            f"CPU time to {what}: {seconds:,.1f} s without partitions, {total:,.1f} s by all {len(ranks)} ranks "
            f"({total / seconds:.2f} times)",
            flush=True,
        )


def main() -> None:
    """Write the log, then measure one process, and then the ranks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--edges", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--partitions", type=int, nargs="+", default=[4])
    for hidden, kind in {"--folder": Path, "--rank": int, "--ranks": int}.items():
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        costs = part(options)
        print(json.dumps({"cpu": costs.cpu, "memory": costs.memory}))
        return
    with tempfile.TemporaryDirectory() as name:
        graph = arxiv_shaped(options.nodes, options.edges, features=options.features)
        write(batches_of(graph, options.updates), Path(name))
        del graph
        (alone,) = measured(options, [f"--folder={name}"])
        print(
            f"{options.nodes:,} nodes, {options.edges:,} edges, {options.features} features, {options.updates} updates"
        )
        memory = alone["memory"]
        print(
            f"memory without partitions: {memory['end'] / _MIB:,.0f} MiB, "
            f"{(memory['end'] - memory['libraries']) / _MIB:,.0f} of them for the graph and its layers",
            flush=True,
        )
        for count in options.partitions:
            each = [[f"--folder={name}", f"--rank={rank}", f"--ranks={count}"] for rank in range(count)]
            show(alone, measured(options, *each))


if __name__ == "__main__":
    main()
