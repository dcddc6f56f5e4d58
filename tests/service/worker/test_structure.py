"""Checkpoints of students that read less of the structure of a node than those of now, or more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.config import STRUCTURE, EngineConfig, StructureColumn
from olad_core.engine import Engine
from olad_core.events import Event, RemoveNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from service.worker.checkpoint import read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, assert_readers_are_fresh, learned

OF_GRAPH = ("graph/structure", "graph/structure_due", "graph/edge_first", "graph/edge_last")
EVENTS: list[Event] = [
    UpsertNode("new", [1.0, 1.0, 1.0]),
    *(UpsertEdge("new", str(other), ts=10.0 * other) for other in range(9)),
    RemoveNode("3"),
]


def reading(columns: tuple[StructureColumn, ...]) -> EngineConfig:
    return replace(PAIR, trainer=replace(PAIR.trainer, structure=columns))


def of_an_earlier_release(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state without what earlier releases did not write."""
    names = (*OF_GRAPH, "graph/edge_gap")
    return {name: t for name, t in tensors.items() if name not in names and "encoder.structure" not in name
            and "encoder.reads" not in name}  # fmt: skip


def moments_of_structure(tensors: dict[str, Tensor]) -> list[str]:
    """Names of the optimizer's moments of the parameters for structure."""
    shapes = {tensor.shape for name, tensor in tensors.items() if name.endswith("encoder.structure")}
    return [name for name, t in tensors.items() if name.startswith("trainer/student_optimizer/") and t.shape in shapes]


def read_by_served(run: Run) -> set[tuple[int, ...]]:
    served = run.engine.versions.served
    assert served is not None
    return {student.encoder.columns for student in served.embedding.students}


def all_probabilities(engine: Engine) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    assert engine.versions.served is not None
    return engine.versions.served.embedding.probabilities(np.flatnonzero(engine.graph.alive))


def until_another_version(run: Run) -> None:
    before = run.reader.served
    for _ in range(200):
        run.turn([], steps=3)
        if run.reader.served != before:
            return
    raise AssertionError("no other version was served")


def test_one_of_an_earlier_release_serves_the_same_and_then_reads_more(tmp_path: Path) -> None:
    tensors, values = learned(Run(reading(()))).engine.state()
    path = write_checkpoint(tmp_path, of_an_earlier_release(tensors), values, keep=1)
    assert not moments_of_structure(tensors)
    engine = restore(reading(STRUCTURE), read_checkpoint(path), DEVICE)
    before = Engine.restore(reading(()), tensors, values, DEVICE)
    np.testing.assert_array_equal(all_probabilities(engine), all_probabilities(before))
    run = Run(engine=engine)
    engine.republish()
    run.turn(EVENTS)
    assert_readers_are_fresh(run)
    assert read_by_served(run) == {()}
    assert engine.trainer is not None
    for one, other in zip(
        engine.trainer.group.students, before.trainer.group.students if before.trainer else (), strict=True
    ):
        assert one.encoder.columns == tuple(range(len(STRUCTURE)))
        assert torch.equal(one.encoder.weight, other.encoder.weight)
    until_another_version(run)
    assert read_by_served(run) == {tuple(range(len(STRUCTURE)))}
    run.turn([UpsertEdge("new", "5", ts=900.0)])
    assert_readers_are_fresh(run)
    assert all(student.encoder.structure.any() for student in engine.trainer.group.students)


@pytest.mark.parametrize("now", [(), ("in_degree",), STRUCTURE], ids=len)
def test_under_another_setting_what_is_served_stays_exact(now: tuple[StructureColumn, ...], tmp_path: Path) -> None:
    run = learned(Run(reading(("in_degree", "in_weight"))))
    path = write_checkpoint(tmp_path, *run.engine.state(), keep=1)
    engine = restore(reading(now), read_checkpoint(path), DEVICE)
    np.testing.assert_array_equal(all_probabilities(engine), all_probabilities(run.engine))
    other = Run(engine=engine)
    engine.republish()
    other.turn(EVENTS)
    assert_readers_are_fresh(other)
    assert read_by_served(other) == {(0, 2)}
    until_another_version(other)
    assert read_by_served(other) == {tuple(STRUCTURE.index(name) for name in now)}
    other.turn([UpsertEdge("new", "5", ts=900.0)])
    assert_readers_are_fresh(other)


def test_a_graph_that_is_given_its_rows_anew_has_no_structure_left() -> None:
    graph = DynamicGraph()
    graph.apply([UpsertEdge(str(node), str(node + 1), ts=float(node)) for node in range(1100)], 0.0)
    graph.apply([RemoveNode(str(node)) for node in range(1101)], 0.0)
    assert graph.is_worth_beginning_anew
    graph.begin_anew()
    graph.apply([UpsertEdge("a", "b", ts=5000.0)], 0.0)
    assert graph.structure.steps[graph.rows(["a", "b"])].tolist() == [[1, 0, 16, 0, 0, 0]] * 2
