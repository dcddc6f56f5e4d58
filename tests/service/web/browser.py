"""A real Chromium for tests: that of the machine, with nothing of its user's and no traffic of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "OLAD_TEST_BROWSER"
"""Environment variable: ``required`` makes a machine without a browser a failure instead of a skip."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_or_skip() -> str:
    """Path of the machine's Chromium."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser on the PATH ({', '.join(NAMES)}); on Debian: apt-get install chromium"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(f"{reason}. {REQUIRED}=required forbids to skip this test.")
        pytest.skip(reason)
    return found


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser with a profile of its own, which is deleted with it."""
    path = chromium_or_skip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), chromium_sandbox=False)
        try:
            yield browser
        finally:
            browser.close()
