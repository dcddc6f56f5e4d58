"""Work beside the requests of an API process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

_AGAIN_S = 1.0
_log = structlog.get_logger(__name__)


async def keep_running(work: Callable[[], Awaitable[object]], again_s: float = _AGAIN_S) -> None:
    """Run work that never ends by itself, until cancelled. After an unexpected error it is logged and begun again.

    Requests would go on being answered without it, but by what was known when it ended.

    Args:
        work: begins it.
        again_s: seconds between its end and the next beginning.
    """
    while True:
        try:
            await work()
        except Exception:
            _log.exception("work in the background ended by an unexpected error and begins again")
        await asyncio.sleep(again_s)
