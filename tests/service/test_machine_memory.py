from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.machine_memory import memory_limit

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
VERSION_1 = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n"


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        pytest.param({}, MACHINE, id="no control groups"),
        pytest.param({"proc/self/cgroup": "0::/a/b\n"}, MACHINE, id="no limits"),
        pytest.param(
            {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000000\n"}, 1_000_000, id="version 2"
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/memory.max": "2000000\n",
            },
            2_000_000,
            id="the group above",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "3000000\n"}, 3_000_000, id="in a container"
        ),
        pytest.param(
            {"proc/self/cgroup": VERSION_1, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "4000000\n"},
            4_000_000,
            id="version 1",
        ),
        pytest.param(
            {"proc/self/cgroup": VERSION_1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000000\n"},
            5_000_000,
            id="version 1 in a container that shows the host's path",
        ),
        pytest.param(
            {"proc/self/cgroup": VERSION_1, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n"},
            MACHINE,
            id="version 1 without a limit",
        ),
    ],
)
def test_the_smallest_limit_counts(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    _write(tmp_path, files)
    assert memory_limit(tmp_path) == limit
