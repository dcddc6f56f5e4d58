"""Twins that measure teaching in checkpoints: they go on, begin anew, or are refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from olad_core.config import EngineConfig
from service.worker.checkpoint import BrokenCheckpoint, Checkpoint, read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.runs import BEST_OF_PAIR, Run, learned
from tests.olad_core.streams import changes, take
from tests.olad_core.test_engine import assert_same_state

FIXED = replace(BEST_OF_PAIR, arrivals_scored=100)
MEASURED = replace(FIXED, trainer=replace(FIXED.trainer, measures_teaching=True))


def written(config: EngineConfig, folder: pytest.TempPathFactory) -> Checkpoint:
    """With nodes that wait for their label."""
    run, stream = learned(Run(config)), changes(5)
    for _ in range(6):
        run.turn(take(stream, 20), steps=3)
    return read_checkpoint(write_checkpoint(folder.mktemp("checkpoints"), *run.engine.state(), keep=1))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return written(MEASURED, tmp_path_factory)


def after(config: EngineConfig, checkpoint: Checkpoint) -> Run:
    """An engine restored from the checkpoint, some turns later."""
    run, stream = Run(engine=restore(config, checkpoint, DEVICE)), changes(6)
    run.turn([], steps=1)
    for _ in range(4):
        run.turn(take(stream, 20), steps=4)
    return run


def test_go_on(measured: Checkpoint) -> None:
    one, other = after(MEASURED, measured), after(MEASURED, measured)
    assert one.engine.assessment.worth is not None
    assert one.engine.assessment.worth.weight > 0
    assert_same_state(one.engine, other.engine)


def test_are_left_out_where_teaching_is_not_measured(measured: Checkpoint) -> None:
    run = after(FIXED, measured)
    assert run.engine.assessment.worth is None
    assert not any(name.startswith(("worth/", "trainer/twins/")) for name in run.engine.state()[0])


def test_begin_anew_where_it_was_not(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = after(MEASURED, written(FIXED, tmp_path_factory))
    assert run.engine.trainer is not None
    assert run.engine.trainer.twins is not None
    assert any(name.startswith("trainer/twins/") for name in run.engine.state()[0])


@pytest.mark.parametrize("part", ["worth/", "trainer/twins/"])
def test_begin_anew_where_a_part_is_missing(measured: Checkpoint, part: str) -> None:
    left = {name: tensor for name, tensor in measured.tensors.items() if not name.startswith(part)}
    assert after(MEASURED, Checkpoint(measured.path, left, measured.values)).engine.trainer is not None


def test_begin_anew_with_other_students(measured: Checkpoint) -> None:
    others = replace(MEASURED, trainer=replace(MEASURED.trainer, students=("sage", "gat")))
    run = after(others, measured)
    assert run.engine.renewed
    assert run.engine.assessment.worth is not None


def put(value: float) -> Callable[[Tensor], Tensor]:
    return lambda tensor: torch.full_like(tensor, value)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("worth/sums", lambda tensor: tensor[:-1], "worth/sums"),
        ("worth/temperatures/log", lambda tensor: tensor.to(torch.float32), "worth/temperatures/log"),
        ("worth/arrivals/rows", put(10**6), "rows that the graph does not have"),
        ("worth/arrivals/rows", put(-2), "rows that the graph does not have|different lengths"),
        ("worth/arrivals/arrival", lambda tensor: tensor[:-1], "different lengths"),
        ("worth/arrivals/probabilities", lambda tensor: tensor[:, :1], "worth/arrivals/probabilities"),
        ("trainer/twins/student/0/head.weight", lambda tensor: tensor[:-1], "head.weight"),
    ],
)
def test_what_is_none_is_refused(
    measured: Checkpoint, name: str, change: Callable[[Tensor], Tensor], reason: str
) -> None:
    damaged = measured.tensors | {name: change(measured.tensors[name])}
    with pytest.raises(BrokenCheckpoint, match=reason):
        restore(MEASURED, Checkpoint(measured.path, damaged, measured.values), DEVICE)
