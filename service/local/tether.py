"""Run a program that cannot outlive its parent: ``python -m service.local.tether SIGNAL PARENT PROGRAM [ARGUMENT]...``.

The kernel sends the signal when the parent has ended, for whatever reason (``kill -9`` included). The request is made
here, after the fork and before the program takes over, because code between fork and exec in a parent with
threads is not safe. It lasts through the exec. Only Linux has it; elsewhere the program simply runs.
"""

from __future__ import annotations

import os
import signal
import sys

from service.parent import tie_to_parent

PYTHON = (sys.executable, "-P", "-m")
"""Begin of a command line that runs a module of this project. With ``-P`` Python does not import from the current
directory: a folder ``service`` or a file ``redis.py`` there would hide ours."""


def tethered(command: list[str], ending: signal.Signals) -> list[str]:
    """The command line under which a child of this process gets ``ending`` when this process is gone.

    On Linux that is when the thread that starts the child ends, so that thread must last.
    """
    return [*PYTHON, "service.local.tether", str(int(ending)), str(os.getpid()), *command]


def main(ending: int, parent: int, command: list[str]) -> None:
    """Tie this process to its parent and become the command."""
    tie_to_parent(ending, parent)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
