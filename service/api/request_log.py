"""Log lines about requests, and about who changed what."""

from __future__ import annotations

import time
from typing import Literal

import structlog
from starlette.types import Scope

from service.api.access import Caller

_UNCHANGING = frozenset({"GET", "HEAD", "OPTIONS"})


class RequestLog:
    """Two loggers: ``service.requests`` for operation, ``service.audit`` for responsibility.

    Args:
        requests: which requests get a line.
        audit: whether changes that were asked for, and keys that were refused, get one.
    """

    def __init__(self, requests: Literal["all", "errors", "off"], *, audit: bool) -> None:
        self._from = {"all": 0, "errors": 400, "off": 1000}[requests]
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
        }
        if audited:
            position = scope.get("state", {}).get("position")
            key_id = caller.key.id if caller.key is not None else None
            self._audit_logger.info("audit", **line, key_id=key_id, position=position)
        if status >= self._from:
            self._requests_logger.info("request", **line, ms=round(1000 * (self.now() - began), 3))
