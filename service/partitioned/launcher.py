"""Starts the ranks of a worker on this machine, and all of them again where one has ended.

Ranks are forked from this process, which has imported and compiled everything, and waits for them in one thread. So
a start costs a rank milliseconds instead of seconds.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import structlog
import torch

from service.collector import paused_collector
from service.exit_codes import REFUSES
from service.parent import tie_to_parent
from service.partitioned.leading import end_at_once
from service.partitioned.warming import compile_beforehand
from service.partitioned.worker import Place, Work, be_rank
from service.settings import Settings
from service.worker.temporal_library import import_temporal_library

log = structlog.get_logger(__name__)

_STOPS = (signal.SIGTERM, signal.SIGINT)
_STOP_S = 50.0
"""For so long ranks may write their last checkpoint after a stop was requested."""
_STEADY_S = 10.0
"""Ranks that have ended sooner than this after their start are started again after a pause."""
_LONGEST_PAUSE_S = 5.0

Codes = dict[int, int]
"""Exit status of each rank that has ended, by rank; negative for a signal."""


@dataclass(frozen=True)
class Start:
    """What is started.

    Attributes:
        settings: of the worker.
        ranks: how many.
        work: what each does, as one of so many.
    """

    settings: Settings
    ranks: int
    work: Work


def run_ranks(start: Start) -> int:
    """Run ranks on this machine until they end, or this process is stopped.

    They exchange over the loopback interface.

    Returns:
        The exit status.
    """
    os.environ["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"
    _import_and_compile(learns=start.settings.weights == "trained")
    # Blocked signals wait until they are asked for: none is lost between two looks.
    heard = {*_STOPS, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    try:
        with tempfile.TemporaryDirectory(prefix="olad-ranks-") as folder:
            return _run(start, Path(folder))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _import_and_compile(*, learns: bool) -> None:
    """Do here what each rank would do at each start.

    No gradient is computed: torch's autograd does not outlive a fork. Ranks set their own number of threads.
    """
    torch.set_num_threads(1)
    # The collector of a rank would write to all pages that it shares with this process.
    with paused_collector():
        import_temporal_library()
        if learns:
            # torch imports it where a first gradient is computed.
            importlib.import_module("torch.fx.experimental.symbolic_shapes")
        compile_beforehand(None)


def _run(start: Start, folder: Path) -> int:
    """Start the ranks as often as needed; the exit status."""
    number, pause_s = 0, 0.0
    while True:
        started, number = time.monotonic(), number + 1
        pids = [_fork(start, rank, folder / str(number)) for rank in range(start.ranks)]
        codes = _until_one_is_lost(pids)
        if codes is None:
            return 0
        if REFUSES in codes.values() or not any(codes.values()):
            return max(codes.values())
        log.error("a rank has ended, all begin again", codes=codes)
        lived_s = time.monotonic() - started
        pause_s = 0.0 if lived_s > _STEADY_S else min(_LONGEST_PAUSE_S, 2 * pause_s + 0.1)
        if signal.sigtimedwait(_STOPS, pause_s) is not None:
            return 0


def _fork(start: Start, rank: int, meeting: Path) -> int:
    """Start one rank; its process.

    Args:
        start: what is started.
        rank: which one.
        meeting: file through which the ranks of this start find each other.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        _be_forked_rank(start, rank, meeting, parent)
    except BaseException:
        log.exception("the rank could not begin")
        end_at_once()


def _be_forked_rank(start: Start, rank: int, meeting: Path, parent: int) -> NoReturn:
    # Ctrl-C is for the launcher, which asks the ranks to stop.
    os.setsid()
    for stops in _STOPS:
        signal.signal(stops, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_STOPS, signal.SIGCHLD})
    tie_to_parent(signal.SIGKILL, parent)
    be_rank(start.settings, Place(rank, start.ranks, meeting.as_uri()), start.work)


def _until_one_is_lost(pids: list[int]) -> Codes | None:
    """Wait until all ranks have ended, or one has failed, which ends the others too.

    Returns:
        What each ended with; None where a stop was requested, and they have ended.
    """
    codes: Codes = {}
    while len(codes) < len(pids) and not any(codes.values()):
        heard = signal.sigwait({*_STOPS, signal.SIGCHLD})
        codes |= _ended(pids, codes)
        if heard in _STOPS:
            _stop(pids, codes)
            return None
    _kill(pids, codes)
    return codes


def _left(pids: list[int], known: Iterable[int]) -> set[int]:
    """The ranks that are not among those that are known to have ended."""
    return set(range(len(pids))).difference(known)


def _ended(pids: list[int], known: Iterable[int]) -> Codes:
    """The ranks that have ended beside those that are known."""
    codes: Codes = {}
    for rank in _left(pids, known):
        pid, status = os.waitpid(pids[rank], os.WNOHANG)
        if pid:
            codes[rank] = os.waitstatus_to_exitcode(status)
    return codes


def _stop(pids: list[int], codes: Codes) -> None:
    """Ask the ranks that are left to stop, and kill them where one of them cannot, or it takes too long."""
    for rank in _left(pids, codes):
        os.kill(pids[rank], signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while len(codes) < len(pids) and not any(codes.values()) and (left := deadline - time.monotonic()) > 0:
        signal.sigtimedwait({signal.SIGCHLD}, left)
        codes |= _ended(pids, codes)
    _kill(pids, codes)


def _kill(pids: list[int], codes: Codes) -> None:
    """Kill the ranks that are left: what they have not published is in the log. One that is paused ends too."""
    for rank in _left(pids, codes):
        os.kill(pids[rank], signal.SIGKILL)
        _, status = os.waitpid(pids[rank], 0)
        codes[rank] = os.waitstatus_to_exitcode(status)
