"""The HTTP server around the application."""

from __future__ import annotations

import functools
from typing import Any

import uvicorn

from service.api.app import create_app
from service.api.protocol import ConnectionLimits, GuardedProtocol, connections_possible
from service.settings import Settings


def make_server(settings: Settings) -> uvicorn.Server:
    """A server that is ready to run.

    Raises:
        KeysUnusable: see :func:`service.api.app.create_app`.
    """
    limits = ConnectionLimits(connections_possible(settings.max_connections), settings.read_timeout_s)
    protocol: Any = functools.partial(GuardedProtocol, limits=limits)
    return uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
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
    )
