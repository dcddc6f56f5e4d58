"""The client of a command that asks the service something."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from service.client.http import Client
from service.commands.failures import read_settings, reported_failures
from service.commands.options import service_url


@contextlib.contextmanager
def service_client(url: str | None, patience_s: float = 10.0) -> Iterator[Client]:
    """A client of the service, within :func:`~service.commands.failures.reported_failures`.

    Args:
        url: of ``--url``; None for host and port of the settings.
        patience_s: seconds for which one request is tried again.
    """
    settings = read_settings()
    with reported_failures(), Client(service_url(url, settings), key=settings.api_key, patience_s=patience_s) as client:
        yield client
