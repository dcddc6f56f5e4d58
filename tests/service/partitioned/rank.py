"""One rank of a stream that several follow: ``python -m tests.service.partitioned.rank RANK RANKS FOLDER``."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch.distributed as dist

from olad_core.partition import Partition, Traffic
from olad_core.students import Student, build_student
from service.partitioned.collectives import run
from tests.olad_core.streams import FEATURES, changes, take

SIZES = (60, 1, 3, 0, 40)


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
    np.savez(folder / f"{rank}.npz", ids=ids, first=first, second=second, size=sum(traffic.size.values()))
    dist.destroy_process_group()


if __name__ == "__main__":
    follow(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
