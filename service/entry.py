"""The program ``olad``: what must be settled before anything else is imported.

Importing the commands takes about a second. Ctrl-C in that time ends the process at once, without a traceback. Files
that the process makes are for its user alone.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from service.collector import paused_collector
from service.umask import ONLY_FOR_THE_USER

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the signal's number, as shells have it."""


def main() -> None:
    """Carry out the command line and end with its status."""
    signal.signal(signal.SIGINT, end_at_once)
    os.umask(ONLY_FOR_THE_USER)
    with paused_collector():
        from service.cli import run  # noqa: PLC0415

    sys.exit(run())


def end_at_once(_signal: int, _frame: FrameType | None) -> None:
    """Signal handler for where there is nothing to clean up."""
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
