from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from service.worker.checkpoint import read_checkpoint
from service.worker.checkpointer import Checkpointer
from service.worker.copy_buffers import CopyBuffers
from tests.chaos.workers import until


def test_what_is_written_is_the_state_of_the_call_whatever_becomes_of_it(tmp_path: Path) -> None:
    table = torch.arange(1000.0)
    with Checkpointer(tmp_path, keep=2) as checkpointer:
        assert checkpointer.begin({"table": table}, {"position": "1-0"}, now=True)
        table += 1
        saved = checkpointer.wait()
    assert saved is not None
    assert saved.oldest_position == saved.status.position == "1-0"
    assert read_checkpoint(Path(saved.status.path)).tensors["table"].tolist() == list(range(1000))


def test_room_is_made_in_the_background_before_the_first_copy_and_where_the_state_has_grown(tmp_path: Path) -> None:
    with Checkpointer(tmp_path, keep=2) as checkpointer:
        for size in (10, 1000):
            state = {"table": torch.ones(size)}
            assert not checkpointer.begin(state, {"position": f"{size}-0"})
            assert checkpointer.finished() is None
            until(lambda: not checkpointer.busy)
            assert checkpointer.begin(state, {"position": f"{size}-0"})
            assert checkpointer.busy
            saved = checkpointer.wait()
            assert saved is not None
            assert read_checkpoint(Path(saved.status.path)).tensors["table"].numel() == size
        assert checkpointer.begin(state, {"position": "2000-0"})


def test_a_state_that_outgrows_the_room_at_every_call_is_written(tmp_path: Path) -> None:
    written = 0
    with Checkpointer(tmp_path, keep=2) as checkpointer:
        for call in range(8):
            written += checkpointer.begin({"table": torch.ones(10 * 2**call)}, {"position": f"{call}-0"})
            until(lambda: checkpointer.finished() is not None or not checkpointer.busy)
    assert written == 4


def test_the_last_checkpoint_waits_for_no_room(tmp_path: Path) -> None:
    with Checkpointer(tmp_path, keep=2) as checkpointer:
        assert not checkpointer.begin({"table": torch.ones(10)}, {"position": "1-0"})
        assert checkpointer.begin({"table": torch.ones(10_000)}, {"position": "2-0"}, now=True)
        saved = checkpointer.wait()
    assert saved is not None
    assert saved.status.position == "2-0"


def test_a_copy_beside_the_checkpoints_stops_none(tmp_path: Path) -> None:
    with Checkpointer(tmp_path, keep=1) as checkpointer:
        for number in range(1, 5):
            assert checkpointer.begin({"table": torch.ones(10)}, {"position": f"{number}-0"}, now=True)
            saved = checkpointer.wait()
            assert saved is not None
            if number == 1:
                shutil.copytree(saved.status.path, f"{saved.status.path}.bak")
    assert checkpointer.failures == 0
    assert saved is not None
    assert saved.oldest_position == "4-0"
    assert (tmp_path / "checkpoint-000000000001.bak" / "manifest.json").exists()


def fail_to_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CopyBuffers, "make", lambda *_: (_ for _ in ()).throw(MemoryError()))


def fail_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CopyBuffers, "copy", lambda *_: (_ for _ in ()).throw(RuntimeError("can't allocate memory")))


def fail_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "service.worker.checkpointer.write_checkpoint", lambda *_: (_ for _ in ()).throw(ValueError("anything"))
    )


@pytest.mark.parametrize("fails", [fail_to_make_room, fail_to_copy, fail_to_write])
def test_any_error_is_a_failed_checkpoint_and_the_next_one_is_tried(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[[pytest.MonkeyPatch], None],
) -> None:
    state = {"table": torch.ones(10)}
    with Checkpointer(tmp_path, keep=1) as checkpointer:
        with monkeypatch.context() as patched:
            fails(patched)
            if fails is fail_to_make_room:
                assert not checkpointer.begin(state, {"position": "1-0"})
                until(lambda: not checkpointer.busy)
            assert checkpointer.begin(state, {"position": "1-0"}, now=fails is not fail_to_make_room)
            assert checkpointer.wait() is None
        assert checkpointer.failures == 1
        assert checkpointer.begin(state, {"position": "2-0"}, now=True)
        assert checkpointer.wait() is not None


def test_an_old_one_that_cannot_be_deleted_is_told_and_the_log_is_trimmed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.worker.checkpoint.shutil.rmtree", lambda *_, **__: None)
    with Checkpointer(tmp_path, keep=1) as checkpointer:
        for number in (1, 2):
            assert checkpointer.begin({"table": torch.ones(10)}, {"position": f"{number}-0"}, now=True)
            saved = checkpointer.wait()
    assert saved is not None
    assert saved.oldest_position == "2-0"
    assert len(saved.undeleted) == checkpointer.failures == 1


def test_free_room_that_cannot_be_found_out_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpointer = Checkpointer(tmp_path / "not" / "there", keep=1)
    assert checkpointer.disk_free() == shutil.disk_usage(tmp_path).free
    monkeypatch.setattr("shutil.disk_usage", lambda _: (_ for _ in ()).throw(PermissionError()))
    assert checkpointer.disk_free() is None
