"""Which variant a request asks."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated

from fastapi import Query

from service.api.context import Context
from service.problems import UNKNOWN_VARIANT, Problem
from service.variant_names import DEFAULT_VARIANT, VARIANT_NAME

Variant = Annotated[
    str | None,
    Query(
        pattern=VARIANT_NAME,
        description="Ask this variant (`GET /variants`) instead of the default one.",
        examples=[DEFAULT_VARIANT],
    ),
]


async def asked_of(context: Context, variant: str | None) -> Context:
    """The context whose predictions are those of a variant; None and the default name give the context itself.

    Raises:
        Problem: 404 where there is no such variant.
    """
    if variant in {None, DEFAULT_VARIANT}:
        return context
    stores = await context.variants.named(str(variant))
    if stores is None:
        raise Problem(UNKNOWN_VARIANT, f"no worker has started as variant {variant!r}; GET /variants lists them")
    return replace(context, **{field.name: getattr(stores, field.name) for field in fields(stores)})
