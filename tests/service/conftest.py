"""Fixtures of the tests that run commands against a service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from service.logs import configure_logging
from tests.redis_server import RedisServer
from tests.service.api.serving import serving


@pytest.fixture(autouse=True, scope="session")
def loggers_can_be_captured() -> Iterator[None]:
    """A logger that is cached on its first use keeps its processors: a later test could not capture what it logs."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False})
        )
        yield


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """Runs commands in a directory of their own, without settings from outside."""
    for name in [name for name in os.environ if name.startswith("OLAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return CliRunner(env={"COLUMNS": "120"})


@pytest.fixture
def url(redis_server: RedisServer, graph: str) -> Iterator[str]:
    """Address of an API on the test's own graph."""
    # A command of an earlier test may have left a log that writes to its closed output.
    configure_logging("error", "console")
    with serving(redis_server.url, graph) as client:
        yield str(client.base_url)
