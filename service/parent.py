"""A process that does not outlive its parent."""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def tie_to_parent(ending: int, parent: int) -> None:
    """Have the kernel send this process a signal when its parent has ended, for whatever reason.

    Only Linux has it; elsewhere nothing happens. On Linux that is when the thread that started this process ends.

    Args:
        ending: the signal.
        parent: id of the parent, as it was when this process was started.

    Raises:
        OSError: the kernel refuses.
        SystemExit: the parent has ended already.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, ending) != 0:
            raise OSError(ctypes.get_errno(), "prctl failed")
        if os.getppid() != parent:  # The parent ended before the request was made.
            raise SystemExit(1)
