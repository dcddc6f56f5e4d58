"""Cuts one TCP connection between two processes, from outside: both see it end, as when a network drops it.

Takes a copy of the socket out of a process (``pidfd_getfd``, Linux) and shuts it down. That needs no namespace, no
filter and no program, but the right to trace the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

_PIDFD_GETFD = 438
_ESTABLISHED = "01"


def cut(first: int, second: int) -> int:
    """Cut the connections between two processes; how many there were.

    Raises:
        OSError: this process may not do that.
    """
    ends, others = _connections(first), {address for address, _ in _connections(second)}
    found = [descriptor for (here, there), descriptor in ends if (there, here) in others]
    for descriptor in found:
        with _taken(first, descriptor) as end:
            end.shutdown(socket.SHUT_RDWR)
    return len(found)


def _connections(pid: int) -> list[tuple[tuple[str, str], int]]:
    """Addresses, here and there, and the descriptor of each connection of a process."""
    addresses: dict[str, tuple[str, str]] = {}
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _ESTABLISHED:
                addresses[fields[9]] = (fields[1], fields[2])
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # Closed meanwhile.
            inode = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
            if inode is not None and inode[1] in addresses:
                found.append((addresses[inode[1]], int(link.name)))
    return found


@contextlib.contextmanager
def _taken(pid: int, descriptor: int) -> Iterator[socket.socket]:
    """A copy of a process's socket."""
    process = os.pidfd_open(pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        copy = libc.syscall(_PIDFD_GETFD, process, descriptor, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(process)
    with socket.socket(fileno=copy) as end:
        yield end
