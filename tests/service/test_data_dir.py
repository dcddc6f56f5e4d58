from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.data_dir import DataDirInUse, locked


def test_the_directory_is_made_and_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "new" / "dir"):
            assert (tmp_path / "new" / "dir").is_dir()


def test_a_second_stack_is_refused_and_told_which_process_has_it(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(DataDirInUse, match=rf"(?s){tmp_path}.*process {os.getpid()}.*--data-dir"),
        locked(tmp_path, patience_s=0),
    ):
        pass


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path: Path) -> None:
    with locked(tmp_path) as descriptor:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])
    with child:
        with pytest.raises(DataDirInUse), locked(tmp_path, patience_s=0):
            pass
        child.communicate(b"\n")
        with locked(tmp_path, patience_s=0):
            pass
