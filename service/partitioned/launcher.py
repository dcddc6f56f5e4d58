"""Starts the ranks of a worker on this machine with torchrun's agent, and all of them again where one has ended."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import uuid
from typing import Any

import structlog
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from service.exit_codes import REFUSES
from service.settings import Settings, environment

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"
MODULE = "service.partitioned.worker"
PARENT = "RANKS_PARENT"
"""Variable with the id of this process, for ranks: they do not outlive it."""
_CHECK_EVERY_S = 0.1
_STOP_S = 50
"""For so long ranks may write their last checkpoint after a stop was requested."""
_RESTARTS = 1_000_000


class _Agent(LocalElasticAgent):
    """torchrun's agent, which kills ranks where one is lost: what they have not published is in the log."""

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, Any]:
        started: dict[int, Any] = super()._start_workers(worker_group)
        context = self._pcontext
        assert context is not None, "it has been started"
        close = context.close

        def close_at_once(death_sig: signal.Signals | None = None, timeout: int = 30) -> None:
            # A rank that is paused would not end of itself.
            close(death_sig or signal.SIGKILL, timeout)

        context.close = close_at_once  # type: ignore[method-assign]
        return started

    def _stop_workers(self, worker_group: WorkerGroup) -> None:  # noqa: ARG002 (there is one group)
        self._shutdown(signal.SIGKILL)

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result: RunResult = super()._monitor_workers(worker_group)
        if result.is_failed():
            codes = {rank: failure.exitcode for rank, failure in result.failures.items()}
            if REFUSES in codes.values():
                self._remaining_restarts = 0
            else:
                log.error("a rank has ended, all begin again", codes=codes)
        return result


def run_ranks(settings: Settings) -> int:
    """Run the ranks of the settings on this machine until they end, or this process is stopped.

    They exchange over the loopback interface.

    Returns:
        The exit status.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"
    os.environ |= environment(settings)
    # Else ranks that begin again find the addresses of those before them.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    os.environ[PARENT] = str(os.getpid())
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGTERM,SIGINT"
    found: dict[str, Any] = {"min_nodes": 1, "max_nodes": 1, "local_addr": LOOPBACK}
    rendezvous = RendezvousParameters("c10d", f"{LOOPBACK}:0", str(uuid.uuid4()), **found)
    with tempfile.TemporaryDirectory(prefix="olad-ranks-") as logs:
        spec = WorkerSpec(
            role="rank",
            local_world_size=settings.partitions,
            entrypoint=sys.executable,
            args=("-P", "-m", MODULE),
            rdzv_handler=get_rendezvous_handler(rendezvous),
            max_restarts=_RESTARTS,
            monitor_interval=_CHECK_EVERY_S,
            local_addr=LOOPBACK,
        )
        agent = _Agent(spec, DefaultLogsSpecs(log_dir=logs), exit_barrier_timeout=1, shutdown_timeout=_STOP_S)
        try:
            result = agent.run()
        except SignalException:
            return 0
        finally:
            spec.rdzv_handler.shutdown()
    if not result.is_failed():
        return 0
    return REFUSES if any(each.exitcode == REFUSES for each in result.failures.values()) else 1
