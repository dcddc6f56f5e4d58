"""Reading request bodies within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import Request

from service.problems import TOO_LARGE, TOO_SLOW, UNSUPPORTED_MEDIA_TYPE, Problem

JSON = "application/json"
NDJSON = "application/x-ndjson"


def media_type(request: Request, supported: Sequence[str]) -> str:
    """The body's media type.

    Raises:
        Problem: 415 where it is none of the supported ones, or the body is compressed.
    """
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in supported:
        found = f"not {sent}" if sent else "and none was sent"
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be {' or '.join(supported)}, {found}",
            headers={"Accept-Post" if request.method == "POST" else "Accept": ", ".join(supported)},
        )
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding != "identity":
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding {coding} is not supported: send the body as it is",
            headers={"Accept-Encoding": "identity"},
        )
    return sent


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, never holding more than the limit.

    Raises:
        Problem: 413 where it is longer, 408 where it takes longer than ``read_timeout_s``.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(f"the body has {int(declared):,} bytes, {limit:,} are allowed", close=True)
    patience_s: float = request.app.state.context.read_timeout_s
    chunks, size = [], 0
    try:
        async with asyncio.timeout(patience_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large(f"the body has more than the {limit:,} bytes that are allowed", close=True)
                chunks.append(chunk)
    except TimeoutError:
        detail = f"the body was not complete after {patience_s:g} s: send smaller batches, or faster"
        raise Problem(TOO_SLOW, detail, headers={"Connection": "close"}) from None
    return b"".join(chunks)


def too_large(what: str, *, close: bool = False) -> Problem:
    """The 413 answer; ``close`` ends the connection, where the rest of the body is still to come."""
    return Problem(TOO_LARGE, f"{what}; send it in parts", headers={"Connection": "close"} if close else None)
