"""The memory this process may use: the limit of its control group, else the memory of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_UNLIMITED = "max"
_SHARE = 0.8


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes of memory this process and its children may use together.

    The smallest limit of the process's control group and of all groups above it (version 2: ``memory.max``, version 1:
    ``memory.limit_in_bytes``), and never more than the machine has. A container is such a group.

    Args:
        root: where ``proc`` and ``sys`` are found; another one is for tests.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(root)])


def memory_used() -> int:
    """Bytes of memory this process has; 0 where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory_budget(setting_mb: int | None) -> int:
    """Bytes a worker may need: as set, else a share of what this process may use."""
    return setting_mb * 10**6 if setting_mb is not None else round(_SHARE * memory_limit())


def _limits(root: Path) -> Iterator[int]:
    for file in _limit_files(root):
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text != _UNLIMITED and text.isdigit():
            yield int(text)


def _limit_files(root: Path) -> Iterator[Path]:
    """The file of each group from the process's own up to the topmost; some of them may not exist."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # Another system than Linux.
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, of which only the topmost group is mounted.
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield mount / folder / name
