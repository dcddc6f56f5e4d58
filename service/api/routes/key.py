"""What the key of a request allows."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.models import KeyAnswer

router = APIRouter(tags=["status"])


@router.get(
    "/key",
    operation_id="getKey",
    summary="What the key of this request allows",
    response_description="Its name and its scopes.",
)
async def get_key(request: Request) -> KeyAnswer:
    """Name and scopes of the key; all scopes where the API needs no key. The key itself is in no answer."""
    caller = request.state.caller
    return KeyAnswer(name=caller.key.name if caller.key is not None else None, scopes=list(caller.scopes))
