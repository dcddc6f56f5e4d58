"""Cancellation of tasks that use redis-py."""

from __future__ import annotations

import asyncio


def end_if_cancelled() -> None:
    """End a task whose cancellation was lost: redis-py may take it for the end of a connection.

    Raises:
        asyncio.CancelledError: the present task has been cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
