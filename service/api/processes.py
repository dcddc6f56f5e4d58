"""Several API processes on one listening socket, under uvicorn's supervisor.

Each process has connections, memory, places to wait and a rate limit of its own; ``docs/scaling.md`` lists them. They
share the socket, the settings and the metrics.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import tempfile
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from service.api.app import create_app
from service.api.server import server_config
from service.api.shared_metrics import environment_for, forget_ended
from service.logs import configure_logging
from service.parent import tie_to_parent
from service.settings import Settings

_ANSWERS_WITHIN_S = 60
"""A process that does not answer its supervisor for so long is replaced; its start counts too."""


def run_processes(settings: Settings, listener: socket.socket | None = None) -> bool:
    """Run ``settings.api_processes`` processes until SIGTERM or SIGINT; one that ends is started again.

    SIGHUP replaces them one after the other, SIGTTIN adds one, and SIGTTOU ends one.

    Args:
        settings: of the service.
        listener: bound socket to accept connections from; None binds one to host and port.

    Returns:
        Whether they served: False where one could not start.
    """
    with tempfile.TemporaryDirectory(prefix="olad-metrics-") as name:
        folder = Path(name)
        os.environ.update(environment_for(folder))
        app = functools.partial(_app_of_a_process, settings, folder, os.getpid())
        config = server_config(settings, app, processes=settings.api_processes, answers_within_s=_ANSWERS_WITHIN_S)
        supervisor = _Supervisor(config, [listener or config.bind_socket()], folder)
        supervisor.run()
        return not any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)


class _Supervisor(Multiprocess):
    """uvicorn's supervisor, which notices at once that a process has ended, and removes its gauges.

    Args:
        config: of the server.
        sockets: to accept connections from.
        metrics: folder of the metrics.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], metrics: Path) -> None:
        super().__init__(config, sockets)
        self._metrics = metrics

    def keep_subprocess_alive(self) -> None:
        """Start what has ended again."""
        for process in self.processes:
            # While the parent holds the process's end of the pipe too, a process that is killed between a ping and
            # its answer leaves the pipe open, and the parent waits for the answer as long as it may take.
            process.child_conn.close()
        super().keep_subprocess_alive()
        forget_ended(self._metrics, [process.pid for process in self.processes if process.pid is not None])


def _app_of_a_process(settings: Settings, metrics: Path, parent: int) -> FastAPI:
    """The application, made within a process that ends with its supervisor."""
    tie_to_parent(signal.SIGTERM, parent)
    configure_logging(settings.log_level, settings.log_format, with_process=True)
    return create_app(settings, metrics)
