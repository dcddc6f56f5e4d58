"""What is appended to the log with an Idempotency-Key, and its answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Header, Request, Response

from service.api.body import JSON
from service.problems import KEY_REUSED, Problem
from service.store.log_writer import IDEMPOTENCY_KEPT, Appended, KeyReused

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description=f"Any text of your choice, remembered for 24 hours, or until {IDEMPOTENCY_KEPT:,} later ones were "
        "sent with the same API key. The same key with the same body answers with the same position, and the batch is "
        "applied once: send it again after a lost answer. Each API key has its own.",
        examples=["replay-7f3a-000042"],
    ),
]


def accepted(request: Request, done: Appended, **fields: object) -> Response:
    """The 202 answer: the position, and other fields. The position is logged with the request."""
    request.state.position = done.position
    headers = {"Idempotent-Replayed": "true"} if done.replayed else {}
    return Response(msgspec.json.encode({"position": done.position, **fields}), 202, headers, JSON)


def key_reused(error: KeyReused, what: str) -> Problem:
    """The 422 answer to a key of another body; ``what`` names what a new key is for."""
    return Problem(KEY_REUSED, f"{error}; use a new key for a new {what}", position=error.position)
