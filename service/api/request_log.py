"""Log lines about requests, and about who changed what."""

from __future__ import annotations

import time
from typing import Literal

import structlog
from starlette.types import Scope

from service.api.access import Caller

_UNCHANGING = frozenset({"GET", "HEAD", "OPTIONS"})


class RequestLog:
    """One line a request at most, by the logger ``service.audit`` or else by ``service.requests``.

    Args:
        requests: which requests get a line.
        audit: whether changes that were asked for, and keys that were refused, get one.
    """

    def __init__(self, requests: Literal["all", "errors", "off"], *, audit: bool) -> None:
        self._from = {"all": 0, "errors": 500, "off": 1000}[requests]
        self._audit = audit
        self._requests_logger = structlog.get_logger("service.requests")
        self._audit_logger = structlog.get_logger("service.audit")

    now = staticmethod(time.perf_counter)

    def write(self, scope: Scope, caller: Caller, status: int, began: float) -> None:
        """One request has been answered."""
        changes = scope["method"] not in _UNCHANGING and scope["path"] != "/predict"
        audited = self._audit and (changes or status in {401, 403})
        if status < self._from and not audited:
            return
        client = scope.get("client")
        line = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "key": caller.name,
            "address": client[0] if client is not None else None,
            "ms": round(1000 * (self.now() - began), 3),
        }
        if audited:
            key_id = caller.key.id if caller.key is not None else None
            position = scope.get("state", {}).get("position")
            self._audit_logger.info("audit", **line, key_id=key_id, position=position)
        else:
            self._requests_logger.info("request", **line)
