"""The outermost middleware: gives requests an id, admits or refuses them, and adds security headers to answers."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access import ANYBODY, admit
from service.api.errors import problem_response
from service.api.origins import OriginGuard
from service.api.pages import security_headers
from service.api.rate_limit import RateLimiter
from service.api.request_log import RequestLog
from service.api_keys import KeyRing
from service.problems import INTERNAL, Problem

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_log = structlog.get_logger(__name__)


@dataclass
class _Answer:
    """The part of an answer that is logged."""

    status: int = 500
    started: bool = False


class AdmissionMiddleware:
    """Authentication, rate limits, security headers, request ids and logs, around everything else.

    Args:
        app: the application behind it.
        guard: of hosts and origins.
        keys: the API keys; None admits everybody.
        limiter: of each key's or address's requests; None does not limit.
        log: of requests and changes.
    """

    def __init__(
        self, app: ASGIApp, guard: OriginGuard, keys: KeyRing | None, limiter: RateLimiter | None, log: RequestLog
    ) -> None:
        self._app = app
        self._guard = guard
        self._keys = keys
        self._limiter = limiter
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        authorization, request_id = _read_headers(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        headers = [(b"x-request-id", request_id), *security_headers(scope["path"])]
        answer = _Answer()

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.started, answer.status = True, message["status"]
                own = message["headers"] = list(message.get("headers", ()))
                cached = any(name == b"cache-control" for name, _ in own)
                own.extend(header for header in headers if not (cached and header[0] == b"cache-control"))
            await send(message)

        began = self._log.now()
        caller = ANYBODY
        try:
            self._guard.check(scope)
            caller = admit(self._keys, scope, authorization)
            state = scope.setdefault("state", {})
            state["client"], state["caller"] = caller.client(scope), caller
            if self._limiter is not None:
                headers += await self._limiter.check(caller, scope)
            if caller.refused is not None:
                raise caller.refused
            await self._app(scope, receive, send_safely)
        except Problem as problem:
            await problem_response(Request(scope), problem)(scope, receive, send_safely)
        except Exception:
            _log.exception("a request failed", method=scope["method"], path=scope["path"])
            # An answer that has begun cannot be replaced: the server then closes the connection.
            if answer.started:
                raise
            failed = Problem(INTERNAL, "the service has logged what happened")
            await problem_response(Request(scope), failed)(scope, receive, send_safely)
        finally:
            self._log.write(scope, caller, answer.status, began)


def _read_headers(scope: Scope) -> tuple[bytes | None, bytes]:
    """The Authorization header, and the request's id: the client's where it is a harmless one, else a new one."""
    authorization, request_id = None, b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value
    return authorization, request_id or secrets.token_hex(8).encode()
