"""A training step operation by operation, and by a recording: launches, and on a GPU time and a core's share of it.

    python -m benchmarks.recorded_step [cora.npz] [--steps 200]

Without a GPU it counts the operations that a GPU would be sent. With one it takes steps in both ways, alternating, and
measures time a step and the share of it in which this process computes. Without the file a generated graph takes its
place. Steps are those of the default group, half of the nodes being labelled.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor

from benchmarks.distillation_step import Lesson
from benchmarks.graphs import cora_shaped
from benchmarks.operations import Operations
from benchmarks.report import emit
from olad_core import device as device_module
from olad_core.config import TrainerConfig
from olad_core.learning.group import Group
from olad_core.learning.label_history import Replay
from olad_core.learning.recorded import RecordedSteps, Run
from olad_core.learning.trainer import Trainer
from olad_core.students import InputShape
from service.replay.npz import read_npz
from service.worker.temporal_library import import_temporal_library

BEFORE = 30
"""Steps before those that count: recordings are made in them."""


class Counter:
    """Records nothing, and follows what a recording would consist of."""

    def __init__(self) -> None:
        self.inside = Operations()

    def warm_up(self, run: Run) -> Tensor:
        """Run, and follow the operations."""
        with Operations() as self.inside:
            return run()

    def record(self, run: Run) -> Run:
        """Runs as if it was recorded."""
        return lambda: self.warm_up(run)

    def read(self, found: Tensor) -> Tensor:
        """As it is."""
        return found


class Steps:
    """Steps of a new group."""

    def __init__(self, lesson: Lesson, config: TrainerConfig, device: torch.device) -> None:
        classes = len(lesson.graph.classes)
        self.trainer = Trainer(Group(config, InputShape.of_graph(lesson.graph), classes, device))
        self._lesson = lesson
        others = (1 - np.eye(len(config.students))) / (len(config.students) - 1)
        rows = [others, np.full((1, len(others)), 1 / len(others))] if config.has_twins else [others]
        self._teaching = np.concatenate(rows).astype(np.float32)

    def take(self, count: int) -> None:
        """Take so many steps."""
        for _ in range(count):
            self.trainer.step(self._lesson.graph, self._lesson.replay, self._lesson.touched, self._teaching)


def count_operations(lesson: Lesson, config: TrainerConfig, steps: int) -> dict[str, float]:
    """What a GPU would be sent: medians over the steps."""
    cpu, counter = torch.device("cpu"), Counter()
    device_module.LOOPED = frozenset()
    plain, recorded = Steps(lesson, config, cpu), Steps(lesson, config, cpu)
    recorded.trainer.recorded = RecordedSteps(counter, cpu)
    plain_counts, plain_reads, inside, reads = [], [], [], []
    for _ in range(steps):
        with Operations() as operations:
            plain.take(1)
        plain_counts.append(len(operations.done))
        plain_reads.append(len(operations.reads))
        recorded.take(1)
        inside.append(len(counter.inside.done))
        reads.append(len(counter.inside.reads))
    return {
        "plain_operations": float(np.median(plain_counts)),
        "plain_reads": float(np.median(plain_reads)),
        "recorded_operations": float(np.median(inside)),
        "recorded_reads": float(max(reads)),
        "shapes": float(recorded.trainer.recorded.shapes),
        "steps": float(steps),
    }


def measure(lesson: Lesson, config: TrainerConfig, steps: int) -> dict[str, float]:
    """Time a step, and a core's share of it, in both ways."""
    gpu = torch.device("cuda")
    ways = {"plain": Steps(lesson, config, gpu), "recorded": Steps(lesson, config, gpu)}
    ways["plain"].trainer.recorded = None
    for way in ways.values():
        way.take(BEFORE)
    spent = dict.fromkeys(ways, 0.0)
    busy = dict.fromkeys(ways, 0.0)
    for _ in range(steps // 10):
        for name, way in ways.items():
            torch.cuda.synchronize()
            started, computed = perf_counter(), process_time()
            way.take(10)
            torch.cuda.synchronize()
            spent[name] += perf_counter() - started
            busy[name] += process_time() - computed
    found: dict[str, float] = {}
    for name in ways:
        found[f"{name}_ms"] = round(1000 * spent[name] / (steps // 10 * 10), 2)
        found[f"{name}_cpu_ms"] = round(1000 * busy[name] / (steps // 10 * 10), 2)
    recorded = ways["recorded"].trainer
    found["shapes"] = float(recorded.recorded.shapes) if recorded.recorded else 0.0
    found["cpu_share_at_the_plain_rate"] = round(busy["recorded"] / spent["plain"], 3)
    if recorded.not_recorded:
        print("not recorded:", recorded.not_recorded)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="?", default=Path("../shared/data/cora.npz"), help="Cora as .npz")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--twins", action="store_true", help="with twins that measure teaching")
    args = parser.parse_args()
    torch.set_num_threads(1)
    import_temporal_library()
    dataset = read_npz(args.path) if args.path.exists() else cora_shaped()
    truth = dict(arrival.truth for arrival in dataset.arrivals() if arrival.truth is not None)
    lesson = Lesson.of(dataset, dict(list(truth.items())[::2]), Replay(recent=TrainerConfig.recent_labels))
    config = TrainerConfig(warmup_steps=0, measures_teaching=args.twins)
    take = measure if torch.cuda.is_available() else count_operations
    emit("recorded_step", take(lesson, config, args.steps))


if __name__ == "__main__":
    main()
