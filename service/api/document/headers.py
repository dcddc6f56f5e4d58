"""Headers of requests and answers that do not belong to one route."""

from __future__ import annotations

from typing import Any

Header = dict[str, Any]

_REQUEST_ID = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"}
_COUNT = {"type": "integer", "minimum": 0}

REQUEST_ID: Header = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Name of this request in the logs. The service makes one where it is left out or has other "
    "characters.",
    "schema": _REQUEST_ID,
    "example": "checkout-42",
}
IDEMPOTENT_REPLAYED: Header = {
    "description": "`true` where the Idempotency-Key was known: the batch was not written again.",
    "schema": {"type": "string", "enum": ["true"]},
}
_ID_OF_ANSWER: Header = {
    "description": "Name of the request in the logs: the one that was sent, or a new one.",
    "schema": _REQUEST_ID,
}
_RATE_LIMIT: dict[str, Header] = {
    "RateLimit-Limit": {"description": "Requests allowed. Only where OLAD_RATE_LIMIT is set.", "schema": _COUNT},
    "RateLimit-Remaining": {"description": "Requests left.", "schema": _COUNT},
    "RateLimit-Reset": {"description": "Seconds until there are more.", "schema": _COUNT},
}
_RETRY_AFTER: Header = {
    "description": "Seconds after which to send the request again.",
    "required": True,
    "schema": _COUNT,
    "example": 1,
}
_OF_STATUS: dict[int, dict[str, Header]] = {
    401: {
        "WWW-Authenticate": {
            "description": "How to show a key (RFC 6750).",
            "required": True,
            "schema": {"type": "string"},
            "example": 'Bearer realm="olad"',
        }
    },
    403: {
        "WWW-Authenticate": {
            "description": "The scope that is needed (RFC 6750). Only where a key was shown.",
            "schema": {"type": "string"},
            "example": 'Bearer realm="olad", error="insufficient_scope", scope="write"',
        }
    },
    415: {
        "Accept-Post": {"description": "Media types that POST takes.", "schema": {"type": "string"}},
        "Accept": {"description": "Media types that PUT takes.", "schema": {"type": "string"}},
        "Accept-Encoding": {
            "description": "`identity` where the body was compressed.",
            "schema": {"type": "string", "enum": ["identity"]},
        },
    },
    429: {"Retry-After": _RETRY_AFTER},
    503: {"Retry-After": _RETRY_AFTER},
}


def headers_of_problem(status: int) -> dict[str, Header]:
    """The headers of a problem document with a status."""
    return {**_OF_STATUS.get(status, {})}


def headers_of_any(*, rate_limited: bool) -> dict[str, Header]:
    """The headers of every answer of an operation."""
    return {"X-Request-ID": _ID_OF_ANSWER, **(_RATE_LIMIT if rate_limited else {})}
