"""Links of bitcoin_otc: ranks of ratings at arrival, learned and by two rules, on the same 100 negatives.

python -m benchmarks.learning.links [--edges 10000] [--entry 20] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.engine import Engine
from olad_core.events import Event, GraphSchema, UpsertEdge
from olad_core.graph_types import EdgeType
from olad_core.link_tasks import LinkReport
from olad_core.task_types import LinkTask

SCHEMA = GraphSchema(
    edge_types={"rated": EdgeType(directed=True)}, tasks={"trust": LinkTask(kind="link", edge_type="rated")}
)


def played(entries: Sequence[Sequence[Event]], seed: int) -> tuple[LinkReport, float]:
    """How the task stands at the end of the entries, and CPU seconds that it took."""
    engine = Engine(EngineConfig(trainer=TrainerConfig(seed=seed)), torch.device("cpu"))
    engine.declare("0-1", SCHEMA)
    began = time.process_time()
    for number, events in enumerate(entries, 1):
        engine.apply(f"{number}-0", events, 0.0)
        engine.refresh()
        engine.take_publication()
    (report,) = engine.link_tasks.reports()
    return report, time.process_time() - began


def entries_of(source: Sequence[int], target: Sequence[int], time: Sequence[float], size: int) -> list[list[Event]]:
    """Ratings in entries of a size."""
    events: list[Event] = [
        UpsertEdge(str(one), str(other), None, at, "rated") for one, other, at in zip(source, target, time, strict=True)
    ]
    return [events[first : first + size] for first in range(0, len(events), size)]


def ratings(edges: int, entry: int) -> list[list[Event]]:
    """The first ratings in entries of a size."""
    with np.load(Path(os.environ.get("OLAD_DATA_HOME", "../shared/data")) / "bitcoin_otc.npz") as found:
        (source, target), times = found["edges"][:, :edges].tolist(), found["edge_time"][:edges].tolist()
    return entries_of(source, target, times, entry)


def main() -> None:
    """Print a table of the scores of each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=10_000)
    parser.add_argument("--entry", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    entries = ratings(given.edges, given.entry)
    for seed in given.seeds:
        report, seconds = played(entries, seed)
        print(f"seed {seed}: {report.scored:,} of {report.arrived:,} edges ranked, {seconds:.1f} s of CPU time")
        print("| predictor | MRR | hits@1 | hits@3 | hits@10 |\n|---|---|---|---|---|")
        for rule, score in report.scores.items():
            if score is not None:
                values = (score.mrr, score.hits_1, score.hits_3, score.hits_10)
                print(f"| {rule} | {' | '.join(f'{value:.3f}' for value in values)} |")


if __name__ == "__main__":
    main()
