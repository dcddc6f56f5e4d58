"""One rank of a stream that several follow: ``python -m tests.service.partitioned.rank RANK RANKS FOLDER``."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from olad_core.partition import Partition, PartitionedLearner, Traffic
from olad_core.students import Student, build_student
from service.partitioned.collectives import run
from tests.olad_core.partition.learning import LEARNING, shared_bytes, stream
from tests.olad_core.streams import FEATURES, changes, take

SIZES = (60, 1, 3, 0, 40)
TURNS, STEPS = 3, 3
LEARNT = replace(LEARNING, trainer=replace(LEARNING.trainer, students=("gcn", "gat")))


def students() -> list[Student]:
    return [build_student(name, FEATURES, 8, 8, seed=3) for name in ("gcn", "gat")]


def follow(rank: int, ranks: int, folder: Path) -> None:
    """Follow the stream, and leave behind what was served."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/ranks", rank=rank, world_size=ranks, timeout=timedelta(seconds=20)
    )
    partition, stream, traffic = Partition(rank, ranks, edge_lifetime=12.0), changes(5), Traffic()
    partition.serve(students(), 2)
    for turn, size in enumerate(SIZES):
        run(partition.apply(take(stream, size), float(turn)), traffic)
    ids, first = partition.answers(0)
    _, second = partition.answers(1)
    learned = np.frombuffer(learn(rank, ranks), np.uint8)
    np.savez(
        folder / f"{rank}.npz", ids=ids, first=first, second=second, size=sum(traffic.size.values()), learned=learned
    )
    dist.destroy_process_group()


def learn(rank: int, ranks: int) -> bytes:
    """Learn from another stream; the bytes that are the same at all ranks."""
    partition = Partition(rank, ranks)
    learner, events = PartitionedLearner(LEARNT, partition), stream(5)
    for turn in range(1, TURNS + 1):
        batch = take(events, 40)
        run(learner.follow(f"{turn}-0", len(batch), run(partition.apply(batch, float(turn)))))
        for _ in range(STEPS):
            run(learner.step())
            run(learner.embed(16))
    return shared_bytes(learner.state())


if __name__ == "__main__":
    torch.set_num_threads(1)
    follow(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
