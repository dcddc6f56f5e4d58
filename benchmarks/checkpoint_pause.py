"""How long a checkpoint holds the worker's loop, with 100,000 nodes and a group of four that learns and serves.

python -m benchmarks.checkpoint_pause [--scale 1]

Events and training steps go on between the checkpoints as they do in the worker, so that a new version is on its way
in some of them and the writer still runs during others' turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np
import torch

from benchmarks.prepared import prepared
from benchmarks.report import emit
from olad_core.events import Event, UpsertEdge
from olad_core.step_size import StepSize
from service.settings import Settings
from service.worker.assembly import engine_config, restore_engine
from service.worker.checkpointer import Checkpointer
from service.worker.copy_buffers import CopyBuffers
from service.worker.temporal_library import import_temporal_library

TARGET_MS = 20.0
LONGEST_WAIT_S = 120.0


def main() -> None:
    """Restore a state, change it, save it again and again; every turn's pause for the checkpoint is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the graph")
    parser.add_argument("--checkpoints", type=int, default=8)
    given = parser.parse_args()
    nodes = int(100_000 * given.scale)
    graph = prepared(nodes, int(6.9 * nodes))
    torch.set_num_threads(1)
    import_temporal_library()
    settings = Settings.model_validate({"data_dir": graph.directory, "students": graph.students})
    checkpoints = graph.directory / "checkpoints" / settings.graph
    engine = restore_engine(checkpoints, engine_config(settings), torch.device("cpu"))
    random, number, pauses, copied = np.random.default_rng(0), 0, [], []

    def turn() -> None:
        nonlocal number
        number += 1
        ends = random.integers(0, nodes, (100, 2)).tolist()
        events: list[Event] = [UpsertEdge(src=str(src), dst=str(dst)) for src, dst in ends]
        engine.apply(f"{1000 + number}-0", events, float(number))
        engine.refresh()
        engine.take_publication()
        engine.learn(1, StepSize(0.2))
        engine.take_publication()

    with tempfile.TemporaryDirectory() as folder, Checkpointer(Path(folder), keep=1) as checkpointer:
        for _ in range(given.checkpoints):
            begun = False
            while not begun:
                turn()
                started = perf_counter()
                begun = checkpointer.begin(*engine.state())
                pauses.append(1000 * (perf_counter() - started))
                deadline = monotonic() + LONGEST_WAIT_S
                while checkpointer.busy and checkpointer.finished() is None:
                    assert monotonic() < deadline, "the writer does not come to an end"
                    turn()
            copied.append(pauses[-1])
    tensors, _ = engine.state()
    room = CopyBuffers()
    room.make(tensors)
    plain = []
    for _ in range(given.checkpoints):
        started = perf_counter()
        room.copy(tensors)
        plain.append(1000 * (perf_counter() - started))
    results = {
        "longest_pause_ms": max(pauses),
        "median_copy_ms": statistics.median(copied),
        "first_copy_ms": copied[0],
        "plain_copy_ms": statistics.median(plain),
        "state_mb": sum(tensor.nbytes for tensor in tensors.values()) / 1e6,
        "nodes": engine.graph.num_nodes,
        "edges": engine.graph.num_edges,
    }
    emit("checkpoint_pause", results, at_most={"longest_pause_ms": TARGET_MS})


if __name__ == "__main__":
    main()
