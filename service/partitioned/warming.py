"""Compiles what a rank calls in its turns, before the others wait for it with a short time limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from olad_core.config import EngineConfig
from olad_core.event_codec import encode_log
from olad_core.events import Event, LabelNode, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph.event_columns import columns_of_log
from olad_core.partition import Partition, PartitionedLearner, run_in_lockstep

_NODES = 12


def compile_beforehand(config: EngineConfig | None) -> None:
    """Follow a graph of some nodes, and learn from it, at two ranks within this process; nothing is kept.

    numba compiles functions when they are first called, and keeps them on disk. On a new machine that takes up to a
    minute; later starts take a second.

    Args:
        config: of the learner; None learns nothing, and computes no gradient.
    """
    parts = [Partition(rank, 2) for rank in range(2)]
    learners = [PartitionedLearner(config, part) for part in parts] if config is not None else []
    batches: list[list[Event]] = [list(_events()), [RemoveNode(id="0"), UpsertEdge("1", "2", 2.0)]]
    for number, batch in enumerate(batches):
        columns_of_log(encode_log(batch))
        followed = run_in_lockstep([part.apply(batch, float(number)) for part in parts])
        if learners:
            pairs = zip(learners, followed, strict=True)
            run_in_lockstep([each.follow(f"{number + 1}-0", len(batch), what) for each, what in pairs])
            _learn(learners)


def _learn(learners: list[PartitionedLearner]) -> None:
    """Take a step, and embed a version where that begins one."""
    run_in_lockstep([each.step() for each in learners])
    while learners[0].is_embedding:
        run_in_lockstep([each.embed() for each in learners])
    for each in learners:
        if each.embedded:
            each.switch()
            each.answers(np.empty(0, np.int64))


def _events() -> Iterator[Event]:
    for node in range(_NODES):
        yield UpsertNode(id=str(node), x=[float(node % 2), 1.0])
        yield UpsertEdge(str(node), str(node // 2), 1.5)
        yield LabelNode(id=str(node), label=("even", "odd")[node % 2])
