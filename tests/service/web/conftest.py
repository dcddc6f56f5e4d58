"""One browser for all tests of the dashboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.service.web.browser import running_chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own."""
    # Enough for a machine that does other things meanwhile.
    expect.set_options(timeout=20_000)
    with running_chromium() as running:
        yield running
