"""The HTTP server around the application."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.api.app import create_app
from service.api.protocol import ConnectionLimits, GuardedProtocol, connections_possible
from service.settings import Settings


def make_server(settings: Settings) -> uvicorn.Server:
    """A server that is ready to run.

    Raises:
        KeysUnusable: see :func:`service.api.app.create_app`.
    """
    app = create_app(settings)
    return uvicorn.Server(server_config(settings, lambda: app))


def server_config(
    settings: Settings, app: Callable[[], FastAPI], *, processes: int = 1, answers_within_s: int = 5
) -> uvicorn.Config:
    """How to serve an application, with the protocol and limits of this service.

    Args:
        settings: of the service.
        app: makes the application, once in each process.
        processes: that share the socket.
        answers_within_s: seconds in which each of them answers its supervisor.
    """
    limits = ConnectionLimits(connections_possible(settings.max_connections), settings.read_timeout_s)
    protocol: Any = functools.partial(GuardedProtocol, limits=limits)
    return uvicorn.Config(
        app,
        factory=True,
        workers=processes,
        timeout_worker_healthcheck=answers_within_s,
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=settings.trusted_proxies is not None,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=10,
    )
