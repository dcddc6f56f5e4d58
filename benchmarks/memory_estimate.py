"""How far the estimate of a worker's memory is from what an engine needs, with a checkpoint taken.

python -m benchmarks.memory_estimate [--shape 3000x16384x2 ...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import emit
from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event, UpsertEdge, UpsertNode
from olad_core.memory_use import bytes_needed
from service.worker.checkpoint import write_checkpoint
from service.worker.copy_buffers import CopyBuffers
from service.worker.temporal_library import import_temporal_library

SHAPES = ("20000x0x1000", "3000x16384x2", "200000x0x2", "100000x64x10")
"""Nodes x features x classes."""
CELLS_PER_ENTRY = 1_000_000
STEPS = 20


def entries(nodes: int, width: int, classes: int) -> Iterator[list[Event]]:
    """Nodes with a label and an edge each, in entries of at most 16 MB or so."""
    random = np.random.default_rng(0)
    size = max(1, min(5000, CELLS_PER_ENTRY // max(1, width)))
    for first in range(0, nodes, size):
        events: list[Event] = []
        for node in range(first, min(first + size, nodes)):
            x = random.standard_normal(width).astype(np.float32).tolist() if width else None
            events.append(UpsertNode(f"node-{node}", x, f"class-{node % classes}"))
            events.append(UpsertEdge(f"node-{node}", f"node-{node // 2}"))
        yield events


def measure(nodes: int, width: int, classes: int) -> tuple[int, int]:
    """Bytes estimated, and the greatest resident memory of this process, with two versions and two checkpoints."""
    torch.set_num_threads(1)
    import_temporal_library()
    config = EngineConfig(max_classes=max(1000, classes))
    engine = Engine(config, torch.device("cpu"))
    copies = CopyBuffers()
    with tempfile.TemporaryDirectory() as folder:
        for number, events in enumerate(entries(nodes, width, classes), start=1):
            engine.apply(f"{number}-0", events, float(number))
            engine.refresh()
            engine.take_publication()
            engine.learn(1)
        for _ in range(2):
            engine.learn(STEPS)
            engine.take_publication()
            tensors, values = engine.state()
            write_checkpoint(Path(folder), copies.copy(tensors), values, keep=1)
    assert engine.versions.served is not None
    estimated = bytes_needed(engine.graph.sizes, engine.group_sizes)
    return estimated, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Each shape in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", nargs="*", default=SHAPES, help="nodes x features x classes")
    results: dict[str, float] = {}
    for shape in parser.parse_args().shape:
        nodes, width, classes = (int(number) for number in shape.split("x"))
        with multiprocessing.get_context("spawn").Pool(1) as process:
            estimated, measured = process.apply(measure, (nodes, width, classes))
        results |= {f"{shape}_estimated_mb": estimated / 1e6, f"{shape}_measured_mb": measured / 1e6}
        results[f"{shape}_ratio"] = estimated / measured
    emit("memory_estimate", results)


if __name__ == "__main__":
    main()
