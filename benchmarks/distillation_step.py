"""One distillation step of four GCNs of width 16 on Cora, full batch, with and without what the group shares.

    python -m benchmarks.distillation_step [cora.npz] [--rounds 30]

The authors' published code takes 110 ms for an epoch with evaluation on two cores (DGL). The ways alternate in one
run; dropout is off in all of them, as it is there. Without the file a generated graph of the same size takes its place.
``shipped`` is the step that users have, ``quarter`` one of a quarter of its size: the default group with its sampled
neighbourhoods and its dropout, half of the nodes being labelled.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from typing_extensions import override

from benchmarks.graphs import cora_shaped
from benchmarks.report import emit
from olad_core.config import TrainerConfig
from olad_core.events import LabelNode
from olad_core.graph import DynamicGraph
from olad_core.learning.group import Group
from olad_core.learning.label_history import Replay, Rows, Touched
from olad_core.learning.trainer import Trainer
from olad_core.step_size import StepSize
from olad_core.students import InputShape
from service.replay.archive_graph import GraphDataset
from service.replay.npz import read_npz
from service.worker.temporal_library import import_temporal_library

TARGETS = {"all_ms": 35, "times_same_nodes": 1.5}


class Whole(Replay):
    """Draws every labelled node, where the service leaves half of them to be told their labels."""

    @override
    def draw(self, count: int, graph: DynamicGraph, random: np.random.Generator) -> Rows:
        return np.flatnonzero(graph.alive & (graph.label >= 0))


@dataclass(frozen=True)
class Lesson:
    """A graph and what a step is about."""

    graph: DynamicGraph
    replay: Replay
    touched: Touched

    @classmethod
    def of(cls, dataset: GraphDataset, labels: dict[str, str], replay: Replay) -> Lesson:
        """The whole dataset, with some labels known."""
        graph = DynamicGraph(feature_width=dataset.schema().feature_width)
        created = graph.apply([event for arrival in dataset.arrivals() for event in arrival.events], 0.0).created
        labelled = graph.apply([LabelNode(id=node, label=label) for node, label in labels.items()], 0.0).labelled
        lesson = cls(graph, replay, Touched(limit=10**6))
        lesson.replay.add(labelled, graph)
        lesson.touched.add(created)
        return lesson


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="?", default=Path("../shared/data/cora.npz"), help="Cora as .npz")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--labels", type=int, default=140)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    import_temporal_library()
    dataset = read_npz(args.path) if args.path.exists() else cora_shaped()
    truth = dict(arrival.truth for arrival in dataset.arrivals() if arrival.truth is not None)
    # Half of the labelled nodes are learned from, and all that have no label.
    nodes = len(truth) - args.labels // 2
    few = Lesson.of(dataset, dict(list(truth.items())[: args.labels]), Replay(recent=10**6))
    same = Lesson.of(dataset, dict(list(truth.items())[:nodes]), Whole(recent=10**6))
    half = Lesson.of(dataset, dict(list(truth.items())[::2]), Replay(recent=TrainerConfig.recent_labels))
    config = TrainerConfig(
        students=("gcn",) * 4,
        width=16,
        warmup_steps=0,
        local_weight=0.01,
        labelled=args.labels,
        touched=2 * len(dataset),
        fanouts=(10**6, 10**6),
        min_confidence=0.0,
        hidden_dropout=0.0,
        feature_dropout=0.0,
    )
    ways = {
        # A weight of zero leaves out the nodes without labels too; full batch means that all are computed.
        "labels_alone": replace(config, global_weight=0.0, local_weight=0.0),
        "same_nodes": replace(config, global_weight=0.0, local_weight=0.0),
        "global": replace(config, local_weight=0.0),
        "local": replace(config, global_weight=0.0),
        "all": config,
        "shipped": TrainerConfig(warmup_steps=0),
        "quarter": TrainerConfig(warmup_steps=0),
    }
    lessons = {"same_nodes": same, "shipped": half, "quarter": half}
    teaching = ((1 - np.eye(4)) / 3).astype(np.float32)
    trainers = {
        name: Trainer(Group(way, InputShape.of_graph(few.graph), len(few.graph.classes), torch.device("cpu")))
        for name, way in ways.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, trainer in trainers.items():
            lesson, share = lessons.get(name, few), 0.25 if name == "quarter" else 1.0
            started = perf_counter()
            trainer.step(lesson.graph, lesson.replay, lesson.touched, teaching, StepSize(share))
            spent[name].append(1000 * (perf_counter() - started))
    results = {f"{name}_ms": round(median(values[3:]), 1) for name, values in spent.items()}
    results["times_same_nodes"] = round(results["all_ms"] / results["same_nodes_ms"], 2)
    results["times_labels_alone"] = round(results["all_ms"] / results["labels_alone_ms"], 2)
    emit("distillation_step", results, at_most=TARGETS)


if __name__ == "__main__":
    main()
