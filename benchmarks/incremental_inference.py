"""Updates a second of exact incremental inference, beside recomputing the touched neighbourhood and everything.

    python -m benchmarks.incremental_inference [--rounds 20] [--undirected]

An Arxiv-shaped graph, two layers of width 128, batches of half adds and half deletes of edges. An update counts
from the event to the new probabilities. ``on_demand`` computes the rows that the events touched, as the service does
while events come, and marks the others; the other ways compute every row. The ways alternate in one run on graphs
that are the same. So does the same graph whose edges have three types: ``three_types_times`` is what an update costs
there, divided by what it costs without types.
Two more ways show what structure as an input costs: ``structure_cost`` is the time with the shipped
columns, ``all_structure_cost`` that with all of them, as a multiple of the time without.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

import msgspec
import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from benchmarks.graphs import GraphArrays, arxiv_shaped
from benchmarks.report import emit
from olad_core.config import STRUCTURE, StructureColumn, TrainerConfig
from olad_core.events import Event, GraphSchema, RemoveEdge, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph, Neighbours
from olad_core.graph_types import EdgeType
from olad_core.serving import loops
from olad_core.serving.embedding import Embedding
from olad_core.serving.operations import Mixture
from olad_core.serving.touched import merge
from olad_core.students import Block, Inputs, LinearStudent, Student, build_student

WIDTH = 128
TYPES = {"one": EdgeType(), "two": EdgeType(), "three": EdgeType()}
TARGETS = {"updates_per_s_at_1000": 56_000, "times_touched_at_1000": 10, "times_full_at_100": 100}


class Recomputed(Student):
    """A student whose kind inference does not know: touched rows are computed from all their neighbours.

    It uses the compiled loops of the incremental way; rows are mapped once, not wherever they are read.
    """

    architecture = "recomputed"

    def __init__(self, inner: Student) -> None:
        super().__init__(inner.feature_width, inner.width, len(inner.encoder.labels))
        self.inner = inner
        self.head, self.encoder = inner.head, inner.encoder
        self.uses_degree = inner.uses_degree  # type: ignore[misc]

    @property
    @override
    def layer_widths(self) -> tuple[int, ...]:
        inner = self.inner
        return (*inner.prepared_widths, inner.width) if isinstance(inner, LinearStudent) else inner.layer_widths

    @override
    def encode(self, inputs: Inputs, factor: Tensor) -> Tensor:
        return self.inner.encode(inputs, factor)

    @override
    def layer(self, number: int, source: Tensor, block: Block) -> Tensor:
        inner, targets = self.inner, block.targets
        if not isinstance(inner, LinearStudent):
            return inner.layer(number, source, block)
        near = Neighbours(block.offsets.numpy(), block.sources.numpy(), block.weight.numpy())
        factors = inner.factors(block.in_weight)
        mixture = Mixture(source, inner.sent_from, inner.message_widths[number - 1], factors)
        mixed = loops.mix(mixture, targets.numpy(), near)
        rows = inner.finish(number, mixed, source, targets)
        return rows if number == inner.num_layers else inner.prepare(number + 1, rows)


def load(arrays: GraphArrays, *, directed: bool, typed: bool = False) -> DynamicGraph:
    """The generated graph as a live one; with types an edge's ends decide which it has."""
    graph = DynamicGraph(directed=directed, feature_width=arrays.x.shape[1])
    if typed:
        graph.declare(GraphSchema(directed=directed, feature_width=arrays.x.shape[1], edge_types=TYPES))
    nodes: list[Event] = [UpsertNode(id=str(node), x=x) for node, x in enumerate(arrays.x.tolist())]
    graph.apply(nodes, 0.0)
    for start in range(0, len(arrays.src), 100_000):
        ends = zip(
            arrays.src[start : start + 100_000].tolist(), arrays.dst[start : start + 100_000].tolist(), strict=True
        )
        edges: list[Event] = [UpsertEdge(src=str(source), dst=str(target)) for source, target in ends]
        graph.apply(with_types(edges) if typed else edges, 0.0)
    return graph


def with_types(events: list[Event]) -> list[Event]:
    """The same edges, each of one of three types."""
    names = [*TYPES]
    return [
        msgspec.structs.replace(event, type=names[sum(ends_of(event)) % 3])
        if isinstance(event, UpsertEdge | RemoveEdge)
        else event
        for event in events
    ]


def ends_of(event: UpsertEdge | RemoveEdge) -> tuple[int, int]:
    """The numbers of the nodes that an edge without an id of its own joins."""
    assert event.src is not None
    assert event.dst is not None
    return int(event.src), int(event.dst)


def embed(graph: DynamicGraph, student: Student, classes: int) -> Embedding:
    """A complete embedding."""
    embedding = Embedding.alone(student, classes, torch.device("cpu"))
    while not embedding.complete:
        embedding.advance(graph)
    return embedding


def reading(student: Student, columns: Sequence[StructureColumn]) -> Student:
    """The student as it would be if it had learned something of these columns."""
    student = copy.deepcopy(student)
    student.encoder.read_structure(columns)
    with torch.no_grad():
        student.encoder.structure.normal_(generator=torch.Generator().manual_seed(1))
    return student


def batches(arrays: GraphArrays, size: int, random: np.random.Generator) -> Callable[[], list[Event]]:
    """Batches of ``size`` events: edges of the graph leave, and others that look like them come."""
    edges = len(arrays.src)
    clock = itertools.count()

    def batch() -> list[Event]:
        gone, like, other = (random.integers(edges, size=size // 2) for _ in range(3))
        events: list[Event] = [
            RemoveEdge(src=str(source), dst=str(target))
            for source, target in zip(arrays.src[gone].tolist(), arrays.dst[gone].tolist(), strict=True)
        ]
        return events + [
            UpsertEdge(src=str(source), dst=str(target), ts=float(next(clock)))
            for source, target in zip(arrays.src[other].tolist(), arrays.dst[like].tolist(), strict=True)
        ]

    return batch


def measure(arrays: GraphArrays, architecture: str, *, directed: bool, rounds: int) -> dict[str, float]:
    """Medians of one architecture."""
    graph = load(arrays, directed=directed)
    student = build_student(architecture, arrays.x.shape[1], WIDTH, arrays.classes, seed=0)
    ways = {
        "incremental": embed(graph, student, arrays.classes),
        "on_demand": embed(graph, student, arrays.classes),
        "touched": embed(graph, Recomputed(student), arrays.classes),
        "structure": embed(graph, reading(student, TrainerConfig().structure), arrays.classes),
        "all_structure": embed(graph, reading(student, STRUCTURE), arrays.classes),
    }
    random = np.random.default_rng(1)
    results: dict[str, float] = {}
    for size in (1000, 100, 1):
        next_batch = batches(arrays, max(size, 2), random)
        spent: dict[str, list[float]] = {name: [] for name in ("apply", *ways)}
        rows, changed = [], {}
        for _ in range(rounds):
            events = next_batch()[:size]
            started = perf_counter()
            changes = graph.apply(events, 0.0)
            touch = merge([changes], graph)
            spent["apply"].append(perf_counter() - started)
            for name, embedding in ways.items():
                started = perf_counter()
                embedding.mark(graph, touch)
                due = touch.rows if name == "on_demand" else embedding.marked(graph)
                changed[name] = len(embedding.compute(graph, due).rows)
                spent[name].append(perf_counter() - started)
            rows.append(changed["incremental"])
        apply = median(spent["apply"])
        seconds = {name: apply + median(values) for name, values in spent.items() if name != "apply"}
        results[f"updates_per_s_at_{size}"] = round(size / seconds["incremental"])
        results[f"on_demand_updates_per_s_at_{size}"] = round(size / seconds["on_demand"])
        results[f"times_touched_at_{size}"] = round(seconds["touched"] / seconds["incremental"], 1)
        results[f"apply_share_at_{size}"] = round(apply / seconds["incremental"], 2)
        results[f"changed_rows_at_{size}"] = median(rows)
        for name in ("structure", "all_structure"):
            results[f"{name}_cost_at_{size}"] = round(seconds[name] / seconds["incremental"], 2)
        if size == 100:
            started = perf_counter()
            embed(graph, student, arrays.classes)
            results["times_full_at_100"] = round((perf_counter() - started) / seconds["incremental"], 1)
    whole = embed(graph, student, arrays.classes)
    alive = np.flatnonzero(graph.alive)
    exact, kept = whole.probabilities(alive), ways["incremental"].probabilities(alive)
    results["greatest_difference"] = float(np.abs(exact - kept).max())
    return results


def measure_types(arrays: GraphArrays, architecture: str, *, directed: bool, rounds: int) -> dict[str, float]:
    """What an update costs where edges have three types, divided by what it costs where they have one."""
    graphs = [load(arrays, directed=directed, typed=typed) for typed in (False, True)]
    students = [
        build_student(architecture, arrays.x.shape[1], WIDTH, arrays.classes, 0, len(graph.relations))
        for graph in graphs
    ]
    embeddings = [embed(graph, student, arrays.classes) for graph, student in zip(graphs, students, strict=True)]
    random = np.random.default_rng(2)
    results: dict[str, float] = {}
    for size in (1000, 100, 2):
        next_batch, times = batches(arrays, size, random), []
        for _ in range(rounds):
            events = next_batch()
            spent = []
            for graph, embedding, batch in zip(graphs, embeddings, (events, with_types(events)), strict=True):
                started = perf_counter()
                embedding.mark(graph, merge([graph.apply(batch, 0.0)], graph))
                embedding.compute(graph, embedding.marked(graph))
                spent.append(perf_counter() - started)
            times.append(spent[1] / spent[0])
        results[f"three_types_times_at_{size}"] = round(median(times), 2)
    return results


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="batches of each size")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the graph's size")
    parser.add_argument("--undirected", action="store_true", help="messages pass both ways")
    args = parser.parse_args()
    torch.set_num_threads(1)
    arrays = arxiv_shaped(int(169_343 * args.scale), int(1_166_243 * args.scale))
    results: dict[str, float] = {}
    for architecture in ("sage", "gcn", "gat"):
        measured = measure(arrays, architecture, directed=not args.undirected, rounds=args.rounds)
        measured |= measure_types(arrays, architecture, directed=not args.undirected, rounds=args.rounds)
        results |= {f"{architecture}_{name}": value for name, value in measured.items()}
    targets = {f"{name}_{result}": bound for name in ("sage", "gcn") for result, bound in TARGETS.items()}
    emit("incremental_inference", results, at_least=targets)


if __name__ == "__main__":
    main()
