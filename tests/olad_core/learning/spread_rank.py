"""Groups spread over 1, 2 and 4 processes: ``python -m tests.olad_core.learning.spread_rank FOLDER``."""

from __future__ import annotations

import multiprocessing
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from typing_extensions import override

from olad_core.engine import Engine
from olad_core.events import LabelNode, UpsertNode
from olad_core.graph.arrays import Float32s
from olad_core.learning.group import Group
from olad_core.learning.health import PATIENCE
from olad_core.learning.spread import Spread
from olad_core.learning.step import Computed, Knowledge, Shown, StepNodes
from olad_core.learning.trainer import Trainer
from olad_core.parts import Parts
from olad_core.students import InputShape
from service.partitioned.collectives import share
from tests.olad_core.learning.test_trainer import SMALL, Lesson
from tests.olad_core.runs import CONFIG, Run, stream

RANKS = (1, 2, 4)
STEPS, SPOILT, TURNS = 50, PATIENCE + 1, 6
GROUP = replace(
    SMALL,
    students=("gcn", "gcn", "sage", "gat", "evolvegcn"),
    measures_teaching=True,
    hidden_dropout=0.3,
    feature_dropout=0.1,
    warmup_steps=4,
)
TEACHING = np.full((6, 5), 0.2, np.float32)
ENGINE = replace(CONFIG, trainer=replace(CONFIG.trainer, local_weight=0.01, measures_teaching=True))
STEP_KINDS = ("what students show", "norms of gradients")
CPU = torch.device("cpu")


class Sent:
    """Sends over gloo, and counts."""

    def __init__(self) -> None:
        self.size: dict[str, int] = {}

    def __call__(self, kind: str, values: Float32s) -> Sequence[Float32s]:
        self.size[kind] = self.size.get(kind, 0) + values.nbytes
        return [np.frombuffer(each, np.float32).copy() for each in share(kind, values.tobytes())]


class Counting(Trainer):
    """Counts the bytes that a student shows."""

    shown = 0

    @override
    def show(self, nodes: StepNodes, computed: Computed, knowledge: Knowledge) -> Parts[Shown]:
        shown = yield from super().show(nodes, computed, knowledge)
        parts = (shown.logits, shown.teachers, shown.doubts, shown.embeddings)
        self.shown += sum(part[0].numel() * 4 for part in parts if part is not None)
        return shown


def train(spread: Spread) -> dict[str, Any]:
    """Losses and state of a group after 50 steps, in which classes are added, and after a student has been spoilt."""
    lesson = Lesson(GROUP)
    graph = lesson.graph
    group = Group(GROUP, InputShape.of_graph(graph), len(graph.classes), CPU, spread=spread)
    lesson.trainer = trainer = Counting(group)
    lesson.teaching = TEACHING
    found: dict[str, Any] = {}
    for number in range(STEPS + SPOILT):
        if number == 20:
            lesson.apply([LabelNode("0", f"class {place}") for place in range(12)])
        if number == 30:
            lesson.trainer.group.advance(graph, np.arange(4))
        if number == STEPS:
            spoil(lesson.trainer)
        found |= {f"losses/{number}/{name}": term for name, term in lesson.step().items()}
    tensors, values = lesson.trainer.state()
    found["shown"] = np.array(trainer.shown)
    found["values"] = np.frombuffer(repr(values).encode(), np.uint8)
    return found | {f"state/{name}": tensor.numpy() for name, tensor in tensors.items()}


def spoil(trainer: Trainer) -> None:
    """Weights of one student, at the rank that trains it, are not finite."""
    group = trainer.group
    if group.students[3] in group.own_students:
        with torch.no_grad():
            group.students[3].head.bias.fill_(torch.nan)


def follow(spread: Spread) -> dict[str, Any]:
    """What an engine publishes and decides, and its state, a checkpoint being restored on the way."""
    run, found = Run(ENGINE, Engine(ENGINE, CPU, spread)), []
    for turn, events in enumerate(stream(turns=TURNS)):
        if turn == TURNS // 2:
            tensors, values = run.engine.state()
            run.engine = Engine.restore(ENGINE, tensors, values, CPU, spread=spread)
        run.turn([*events, UpsertNode(f"new {turn}", [1.0, 0.0, 0.0])], steps=4)
    for publication in run.published:
        found += [update.probabilities.tobytes() for update in publication.updates]
    tensors, values = run.engine.state()
    assert run.reader.served is not None
    state = {f"engine/{name}": tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    return state | {
        "engine values": np.frombuffer(repr(values).encode(), np.uint8),
        "published": np.array([zlib.crc32(each) for each in found]),
    }


def rank_of(rank: int, ranks: int, folder: Path) -> None:
    """Train and follow as one of several ranks, and leave behind what came of it."""
    sent = Sent()
    if ranks > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/ranks", rank=rank, world_size=ranks, timeout=timedelta(seconds=30)
        )
    spread = Spread(rank, ranks, sent)
    found = train(spread)
    found["sent"] = np.array([sent.size.get(kind, 0) for kind in STEP_KINDS])
    np.savez(folder / f"{rank}.npz", **found)
    if ranks <= 2:
        np.savez(folder / f"engine {rank}.npz", **follow(spread))
    if ranks > 1:
        dist.destroy_process_group()


def run_all(folder: Path) -> int:
    """Run each number of ranks in its own folder, all processes at once; the worst exit status."""
    torch.set_num_threads(1)
    fork = multiprocessing.get_context("fork")  # to import takes longer than all else
    processes = []
    for ranks in RANKS:
        own = folder / str(ranks)
        own.mkdir()
        processes += [fork.Process(target=rank_of, args=(rank, ranks, own), daemon=True) for rank in range(ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return max(abs(process.exitcode or 0) for process in processes)


if __name__ == "__main__":
    sys.exit(run_all(Path(sys.argv[1])))
