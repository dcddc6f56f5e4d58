"""Every error as an RFC 9457 problem document."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from olad_core.schema import TooManyClasses
from service.api.document.problems import MAX_ERRORS, MEDIA_TYPE
from service.api.memory_guard import NotEnoughMemory
from service.api.overload import RETRY_AFTER_S, overloaded
from service.problems import (
    BAD_REQUEST,
    INTERNAL,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    OVERLOADED,
    REDIS_UNAVAILABLE,
    TOO_LARGE,
    TOO_MANY_CLASSES,
    TOO_MANY_WAITING,
    TOO_MUCH_AT_ONCE,
    TOO_MUCH_MEMORY,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
    Problem,
)
from service.store.redis_refusals import RedisError, Refusal, refusal
from service.store.watermark import TooManyWaiting

_BY_STATUS = {
    kind.status: kind for kind in (BAD_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)
}
_log = structlog.get_logger(__name__)


def too_many_classes(error: TooManyClasses) -> Problem:
    """The 422 answer to a label that would be a class too many."""
    advice = "Is this field a class? If so, raise OLAD_MAX_CLASSES for the API and the worker"
    return Problem(TOO_MANY_CLASSES, f"{error}. {advice}")


def problem_response(request: Request, problem: Problem) -> Response:
    """The answer for a problem."""
    kind = problem.kind
    instance = request.scope.get("raw_path", b"").split(b"?")[0].decode("ascii", "replace") or request.url.path
    body = {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": instance,
        **problem.extensions,
    }
    return Response(msgspec.json.encode(body), kind.status, problem.headers, MEDIA_TYPE)


def invalid(kind: Kind, errors: list[dict[str, Any]], total: int | None = None) -> Problem:
    """A problem that lists what is wrong, shortened to a hundred items; ``total`` counts those not given, too."""
    total = len(errors) if total is None else total
    first = errors[0]
    index = f"index {first['index']} " if first.get("index", -1) >= 0 else ""
    place = f"{index}{'field ' + first['field'] if first['field'] else ''}".strip()
    more = f" ({total} errors in all)" if total > 1 else ""
    detail = f"{place}: {first['message']}{more}" if place else f"{first['message']}{more}"
    return Problem(kind, detail, errors=errors[:MAX_ERRORS], total_errors=total)


def install(app: FastAPI) -> None:
    """Make every error of an application a problem document."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(request, error)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        items = [{"field": _field(item["loc"]), "message": item["msg"]} for item in error.errors()]
        return problem_response(request, invalid(INVALID_REQUEST, items))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = _BY_STATUS.get(error.status_code, INTERNAL if error.status_code >= 500 else BAD_REQUEST)
        where = f"{request.method} {request.url.path}"
        headers = dict(error.headers or {})
        if headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"
        details = {
            404: f"{where}: the API's addresses are listed at /docs",
            405: f"{where}: allowed is {headers.get('Allow', 'another method')}",
        }
        detail = details.get(error.status_code, str(error.detail))
        return problem_response(request, Problem(kind, detail, headers=headers))

    async def on_disconnect(request: Request, _error: Exception) -> Response:
        return problem_response(request, Problem(BAD_REQUEST, "the connection was closed before the answer"))

    async def on_redis(request: Request, error: Exception) -> Response:
        found = refusal(error)
        if found.code == "OOM":
            return problem_response(request, overloaded(found.advice))
        log = _log.warning if found.passes else _log.error
        log("redis cannot be used", path=request.url.path, error=str(error), advice=found.advice)
        return problem_response(request, redis_problem(found, request.method))

    async def on_waiting(request: Request, error: Exception) -> Response:
        assert isinstance(error, TooManyWaiting)
        return problem_response(request, too_many_waiting(error))

    async def on_memory(request: Request, error: Exception) -> Response:
        assert isinstance(error, NotEnoughMemory)
        return problem_response(request, not_enough_memory(error))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(TooManyWaiting, on_waiting)
    app.add_exception_handler(NotEnoughMemory, on_memory)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(RedisError, on_redis)


def too_many_waiting(error: TooManyWaiting) -> Problem:
    """The 503 answer where no further request may wait, or the 429 answer where this client has too many waiting."""
    mine = "" if error.full else f", {error.own} of them of this client, which may have about half of {error.total}"
    detail = f"{error.used} requests wait for a position already{mine}; ask again, or without min_position"
    return Problem(TOO_MANY_WAITING if error.full else TOO_MUCH_AT_ONCE, detail, headers={"Retry-After": "1"})


def not_enough_memory(error: NotEnoughMemory) -> Problem:
    """The 429 answer where the batch may fit later, or the 422 answer where it never does."""
    if error.ever:
        return Problem(OVERLOADED, str(error), headers={"Retry-After": str(RETRY_AFTER_S)})
    return Problem(TOO_MUCH_MEMORY, str(error))


def redis_problem(found: Refusal, method: str) -> Problem:
    """The 503 answer where Redis cannot be used."""
    if found.answered:
        detail = f"{found.advice}. Nothing was written; send the request again later."
        return Problem(REDIS_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    detail = f"{found.advice}."
    if method != "GET":
        detail += " Whether the request took effect is unknown: send events again with the same Idempotency-Key."
    return Problem(REDIS_UNAVAILABLE, detail, headers={"Retry-After": "1"})


def _field(location: tuple[int | str, ...]) -> str:
    """``("body", "classes", 0)`` as ``classes.0``; the source means nothing to the client."""
    return ".".join(str(part) for part in location[1:])
