"""Reading request bodies within limits."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from service.problems import TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, Problem

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
        raise Problem(UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {coding} is not supported: send the body as it is")
    return sent


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, never holding more than the limit.

    Raises:
        Problem: 413 where it is longer.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(f"the body has {int(declared):,} bytes, {limit:,} are allowed")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(f"the body has more than the {limit:,} bytes that are allowed")
        chunks.append(chunk)
    return b"".join(chunks)


def too_large(what: str) -> Problem:
    """The 413 answer."""
    return Problem(TOO_LARGE, f"{what}; send it in parts")
