"""The answer where nothing is predicted yet."""

from __future__ import annotations

from service.api.context import Context
from service.problems import NO_MODEL, Problem


async def no_model(context: Context) -> Problem:
    """The 503 answer before the first version, with what is missing."""
    missing = await context.missing_for_model()
    detail = f"No model has been published yet; missing: {', '.join(missing)}"
    return Problem(NO_MODEL, detail, headers={"Retry-After": "1"}, missing=missing)
