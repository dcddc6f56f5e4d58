"""Members that teach in checkpoints: they go on, begin anew, or are refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from olad_core.config import LINEAR, TREES, EngineConfig
from service.worker.checkpoint import BrokenCheckpoint, Checkpoint, read_checkpoint, write_checkpoint
from service.worker.restoring import restore
from tests.device import DEVICE
from tests.olad_core.learning.test_lessons import TEACHING, taught
from tests.olad_core.runs import BEST_OF_PAIR, Run
from tests.olad_core.streams import changes, take
from tests.olad_core.test_engine import assert_same_state


def written(config: EngineConfig, folder: pytest.TempPathFactory) -> Checkpoint:
    return read_checkpoint(write_checkpoint(folder.mktemp("checkpoints"), *taught(config).engine.state(), keep=1))


@pytest.fixture(scope="module")
def teaching(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return written(TEACHING, tmp_path_factory)


def after(config: EngineConfig, checkpoint: Checkpoint) -> Run:
    """An engine restored from the checkpoint, some turns later."""
    run, stream = Run(engine=restore(config, checkpoint, DEVICE)), changes(6)
    for _ in range(3):
        run.turn(take(stream, 20), steps=2)
    return run


def test_go_on(teaching: Checkpoint) -> None:
    one, other = after(TEACHING, teaching), after(TEACHING, teaching)
    assert set(one.engine.assessment.teachers) == {TREES, LINEAR}
    assert_same_state(one.engine, other.engine)


def test_are_left_out_where_they_do_not_teach(teaching: Checkpoint) -> None:
    for config in (BEST_OF_PAIR, replace(BEST_OF_PAIR, serve="auto"), replace(TEACHING, trees=False)):
        tensors, _ = after(config, teaching).engine.state()
        assert not any(name.startswith(f"teachers/{TREES}/") for name in tensors)


def test_begin_where_there_were_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = after(TEACHING, written(BEST_OF_PAIR, tmp_path_factory))
    assert set(run.engine.assessment.teachers) == {TREES, LINEAR}


def test_begin_anew_with_other_students(teaching: Checkpoint) -> None:
    others = replace(TEACHING, trainer=replace(TEACHING.trainer, students=("sage", "gat", "gcn")))
    run = after(others, teaching)
    assert run.engine.renewed
    assert len(run.engine.assessment.teachers[LINEAR].strength()) == 3


def test_what_is_none_is_refused(teaching: Checkpoint) -> None:
    name = f"teachers/{LINEAR}/paired"
    damaged = teaching.tensors | {name: teaching.tensors[name][:, :1]}
    with pytest.raises(BrokenCheckpoint, match="teachers/paired"):
        restore(TEACHING, Checkpoint(teaching.path, damaged, teaching.values), DEVICE)
