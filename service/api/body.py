"""Reading request bodies within limits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import msgspec
from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from olad_core.event_codec import malformed
from service.api.document.problems import MAX_ERRORS
from service.api.errors import invalid
from service.api.unknown_fields import fields_at, refusal, shortened, unknown_name
from service.problems import (
    INVALID_REQUEST,
    NO_MEMORY_FREE,
    TOO_LARGE,
    TOO_MUCH_AT_ONCE,
    TOO_SLOW,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)
from service.shares import NoShare, Share

JSON = "application/json"
NDJSON = "application/x-ndjson"

_Model = TypeVar("_Model", bound=BaseModel)
_Decoded = TypeVar("_Decoded")


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


@contextlib.asynccontextmanager
async def received(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The whole body, never more than the limit. It counts against the bytes that the process may hold until the end.

    A length that was declared is counted before anything is read, else what has come so far.

    Raises:
        Problem: 413 where it is longer, 408 where it takes longer than ``read_timeout_s``, 429 or 503 where too much
            is in flight.
    """
    context = request.app.state.context
    declared = request.headers.get("content-length", "")
    expected = int(declared[:20]) if declared.isdecimal() else 0
    if expected > limit:
        raise too_large(f"the body has {expected:,} bytes, {limit:,} are allowed", close=True)
    try:
        with context.memory.take(client_of(request), expected) as share:
            yield await _read(request, limit, share, context.read_timeout_s)
    except NoShare as error:
        raise too_much(error, close=True) from None


async def read_json(model: type[_Model], request: Request, limit: int) -> _Model:
    """The JSON body as a model, whose types are taken strictly: a text or a truth value is no number.

    Raises:
        Problem: 415 where it is no JSON, 422 where it is not as the model says; and as :func:`received`.
    """
    media_type(request, (JSON,))
    try:
        async with received(request, limit) as body:
            return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        items = [_item(model, request, item) for item in error.errors()[:MAX_ERRORS]]
        raise invalid(INVALID_REQUEST, items, error.error_count()) from None


def decoded(decoder: msgspec.json.Decoder[_Decoded], request: Request, body: bytes) -> _Decoded:
    """What the body of a request holds.

    Raises:
        Problem: 422 where it is not as the decoder's type says.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise undecodable(decoder, request, body, error) from None


def undecodable(decoder: msgspec.json.Decoder[_Decoded], request: Request, body: bytes, error: Exception) -> Problem:
    """The 422 answer to a body that msgspec refuses, with the field that it names."""
    message, _, path = (malformed(body) or str(error)).partition(" - at `$.")
    path = path.rstrip("`")
    unknown = unknown_name(message)
    if unknown is not None:
        unknown = shortened(unknown)
        message = refusal(request, unknown, fields_at(decoder.type, path))
        path = f"{path}.{unknown}" if path else unknown
    return invalid(INVALID_REQUEST, [{"field": path, "message": message}])


def _item(model: type[BaseModel], request: Request, item: ErrorDetails) -> dict[str, str]:
    """An error of pydantic's as a problem lists it."""
    place = [shortened(str(each)) for each in item["loc"]]
    message = item["msg"]
    if item["type"] == "extra_forbidden":
        message = refusal(request, place[-1], tuple(model.model_fields) if len(place) == 1 else ())
    return {"field": ".".join(place), "message": message}


async def _read(request: Request, limit: int, share: Share, patience_s: float) -> bytes:
    chunks, size = [], 0
    try:
        async with asyncio.timeout(patience_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large(f"the body has more than the {limit:,} bytes that are allowed", close=True)
                share.grow(max(0, size - share.amount))
                chunks.append(chunk)
    except TimeoutError:
        detail = f"the body was not complete after {patience_s:g} s: send smaller batches, or faster"
        raise Problem(TOO_SLOW, detail, headers={"Connection": "close"}) from None
    return b"".join(chunks)


def client_of(request: Request) -> str:
    """The client whose limits a request counts against."""
    client: str = request.state.client
    return client


def key_of(request: Request) -> str:
    """The id of the API key a request was made with; empty without one."""
    kind, _, name = client_of(request).partition(":")
    return name if kind == "key" else ""


def too_large(what: str, *, close: bool = False) -> Problem:
    """The 413 answer; ``close`` ends the connection, where the rest of the body is still to come."""
    return Problem(TOO_LARGE, f"{what}; send it in parts", headers={"Connection": "close"} if close else None)


def too_much(error: NoShare, *, close: bool = False) -> Problem:
    """The answer where bytes in flight are all taken: 429 where this client holds some of them, else 503."""
    headers = {"Retry-After": "1", **({"Connection": "close"} if close else {})}
    kind, who = (TOO_MUCH_AT_ONCE, "this client's") if error.own else (NO_MEMORY_FREE, "all")
    detail = (
        f"{who} requests and answers in flight hold {error.own or error.used:,} bytes; all together may hold "
        f"{error.total:,}, one client about half of it: send the request again when others are done"
    )
    return Problem(kind, detail, headers=headers)
