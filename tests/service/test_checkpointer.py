from __future__ import annotations

from pathlib import Path

import torch

from olad_core.checkpoint import read_checkpoint
from service.checkpointer import Checkpointer
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


def test_the_last_checkpoint_waits_for_no_room(tmp_path: Path) -> None:
    with Checkpointer(tmp_path, keep=2) as checkpointer:
        assert not checkpointer.begin({"table": torch.ones(10)}, {"position": "1-0"})
        assert checkpointer.begin({"table": torch.ones(10_000)}, {"position": "2-0"}, now=True)
        saved = checkpointer.wait()
    assert saved is not None
    assert saved.status.position == "2-0"
