"""Log lines about requests, and the audit log of changes."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Literal

import structlog
from starlette.types import Scope

from service.api.access import Caller, scope_needed

_REPEATED_S = 60.0
_REPEATED_KEPT = 1_000
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
        self._refusals = _Refusals()
        self._requests_logger = structlog.get_logger("service.requests")
        self._audit_logger = structlog.get_logger("service.audit")

    now = staticmethod(time.perf_counter)

    def write(self, scope: Scope, caller: Caller, status: int, began: float) -> None:
        """One request has been answered."""
        method, path = scope["method"], scope["path"]
        changes = method not in _UNCHANGING and scope_needed(method, path) != "read"
        refused = status in {401, 403}
        audited = self._audit and (changes or refused)
        if status < self._from and not audited:
            return
        client = scope.get("client")
        address = client[0] if client is not None else None
        key_id = caller.key.id if caller.key is not None else None
        line: dict[str, object] = {
            "method": method,
            "path": path,
            "status": status,
            "key": caller.name,
            "address": address,
            "ms": round(1000 * (self.now() - began), 3),
        }
        if audited and refused:
            same_before = self._refusals.count((address, key_id, method, path, status), began)
            audited = same_before is not None
            if same_before:
                line["same_before"] = same_before
        if audited:
            position = scope.get("state", {}).get("position")
            self._audit_logger.info("audit", **line, key_id=key_id, position=position)
        elif status >= self._from:
            self._requests_logger.info("request", **line)


class _Refusals:
    """Counts refusals that are the same but for their time: the first has a line, later ones one a minute together."""

    def __init__(self) -> None:
        self._counted: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def count(self, what: Hashable, now: float) -> int | None:
        """How many had no line since the last that had one; None where this one has none either."""
        since, unsaid = self._counted.get(what, (-math.inf, 0))
        if now - since < _REPEATED_S:
            self._counted[what] = since, unsaid + 1
            return None
        self._counted[what] = now, 0
        self._counted.move_to_end(what)
        if len(self._counted) > _REPEATED_KEPT:
            self._counted.popitem(last=False)
        return unsaid
