from __future__ import annotations

import asyncio
import contextlib

import pytest

from service.api.background import keep_running


async def test_work_that_fails_begins_again_and_ends_when_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    begun = 0
    again = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise RuntimeError("the handler is closed")
        again.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(keep_running(work, again_s=0.001))
    async with asyncio.timeout(10):
        await again.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert begun == 3
