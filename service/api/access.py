"""Authorisation: the scope each request needs, and the key that it carries."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from starlette.types import Scope as AsgiScope

from service.api_keys import SCOPES, ApiKey, KeyRing, Scope
from service.problems import FORBIDDEN, UNAUTHENTICATED, Problem

_OPEN = frozenset({"/", "/docs", "/openapi.json", "/health/live", "/health/ready", "/health/predicting"}) | {
    "/v2/health/live",
    "/v2/health/ready",
}
_OPEN_FOLDERS = ("/assets/", "/docs/")
_CHALLENGE = 'Bearer realm="olad"'


@dataclass(frozen=True)
class Caller:
    """The sender of a request.

    Attributes:
        key: the valid key that the request carries.
        refused: why the request is refused.
    """

    key: ApiKey | None = None
    refused: Problem | None = None

    @property
    def name(self) -> str:
        """For the logs."""
        return self.key.name if self.key is not None else "anonymous"

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What the sender may do: everything where no key is needed."""
        return tuple(scope for scope in SCOPES if self.key is None or self.key.allows(scope))

    def client(self, request: AsgiScope) -> str:
        """Whose limits the request counts against: those of the key, or of the address where there is no key."""
        return f"key:{self.key.id}" if self.key is not None else _address(request)


ANYBODY = Caller()
_IPV6_SITE = 64
_READING = frozenset({"/predict", "/predict/edge", "/embeddings", "/what-if"})
"""What is asked with a body, and changes nothing."""


def scope_needed(method: str, path: str) -> Scope | None:
    """The scope a request needs; None where it needs no key.

    A route that is not listed here needs admin, so that a new one is closed until it is listed.

    >>> scope_needed("POST", "/events"), scope_needed("POST", "/predict"), scope_needed("PUT", "/schema")
    ('write', 'read', 'admin')
    >>> scope_needed("GET", "/health/live") is None
    True
    """
    if method in {"GET", "HEAD"}:
        return None if path in _OPEN or path.startswith(_OPEN_FOLDERS) else "read"
    if method == "POST" and (path in _READING or path.startswith("/v2/models/")):
        return "read"
    if method == "POST" and path == "/events":
        return "write"
    return "admin"


def admit(keys: KeyRing | None, request: AsgiScope, authorization: bytes | None) -> Caller:
    """The sender of a request, and whether it is admitted."""
    if keys is None:
        return ANYBODY
    needed = scope_needed(request["method"], request["path"])
    if needed is None:
        return ANYBODY
    if authorization is None:
        return Caller(refused=_unauthenticated("send one as `Authorization: Bearer KEY`", ""))
    kind, _, shown = authorization.decode("latin-1").partition(" ")
    key = keys.find(shown.strip()) if kind.lower() == "bearer" else None
    if key is None:
        why = "the one that was sent is not known: it is misspelt or has been revoked"
        return Caller(refused=_unauthenticated(why, ', error="invalid_token"'))
    if not key.allows(needed):
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{needed}"'
        detail = f"this needs a key with the scope {needed}; {key.name} has {', '.join(key.scopes)}"
        return Caller(key, Problem(FORBIDDEN, detail, headers={"WWW-Authenticate": challenge}))
    return Caller(key)


def _unauthenticated(detail: str, error: str) -> Problem:
    return Problem(
        UNAUTHENTICATED, f"this API needs a key; {detail}", headers={"WWW-Authenticate": f"{_CHALLENGE}{error}"}
    )


def _address(request: AsgiScope) -> str:
    """The address of the sender; of IPv6 the network, since a site can use any number of addresses in it."""
    client = request.get("client")
    if client is None:
        return "address:unknown"
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return f"address:{client[0]}"
    if address.version == 6 and address.ipv4_mapped is None:
        return f"address:{ipaddress.ip_network((address, _IPV6_SITE), strict=False)}"
    return f"address:{address}"
