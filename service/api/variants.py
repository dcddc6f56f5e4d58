"""Which variant a request asks: the one that it names, one by a share of the traffic, or else the champion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Annotated, TypeVar

from fastapi import Query

from service.api.context import Context
from service.problems import SEVERAL_CHALLENGERS, UNKNOWN_VARIANT, Problem
from service.store.champion import ChampionMoved
from service.store.variant_stores import VariantStores
from service.variant_names import CHALLENGER, CHAMPION, DEFAULT_VARIANT, VARIANT_NAME

_T = TypeVar("_T")
_FIELDS = tuple(field.name for field in fields(VariantStores))

Variant = Annotated[
    str | None,
    Query(
        pattern=VARIANT_NAME,
        description="Ask this variant (`GET /variants`) instead of the champion. `champion` and `challenger` stand for "
        "the one that answers without it, and for the only other one whose worker is there.",
        examples=[DEFAULT_VARIANT],
    ),
]


async def answered_by(
    context: Context, variant: str | None, answer: Callable[[Context], Awaitable[_T]], node: str | None = None
) -> _T:
    """What the variant answers that a request asks.

    Where another variant becomes the champion while it is asked, the request is answered anew by that one: what was
    read of the former champion could go back behind what readers of the new one have seen.

    Args:
        context: the application's.
        variant: that the request names; None for none.
        answer: makes the answer with the context of the variant.
        node: that the request is about, whose share of the traffic counts; None where it is not about one node.

    Raises:
        Problem: 404 where there is no such variant, 409 where the alias stands for several.
    """
    while True:
        asked = await asked_of(context, variant, node)
        try:
            return await answer(asked)
        except ChampionMoved as moved:
            context.variants.see_champion(moved.champion)


async def asked_of(context: Context, variant: str | None, node: str | None = None) -> Context:
    """The context whose predictions are those of the variant that a request asks; as :func:`answered_by`.

    What is read of the champion with it raises :class:`ChampionMoved` once that is another variant.
    """
    variants = context.variants
    if variant is None:
        share = context.split.of(node) if node is not None else None
        if share is not None and share != variants.champion and variants.can_answer(share):
            return await _named(context, share)
    if variant is None or variant == CHAMPION:
        return _of_champion(context, is_named=variant is not None)
    return await _named(context, await variant_named(context, variant))


async def variant_named(context: Context, name: str) -> str:
    """The variant that a name or an alias stands for; whether there is one of that name is not asked.

    Raises:
        Problem: 404 where there is no challenger, 409 where there are several.
    """
    if name == CHAMPION:
        return await context.champion.name()
    if name != CHALLENGER:
        return name
    others = await context.variants.challengers()
    if not others:
        raise Problem(UNKNOWN_VARIANT, "no worker beside that of the champion is there; GET /variants lists them")
    if len(others) > 1:
        detail = f"{len(others)} workers beside that of the champion are there: name one of {', '.join(others)}"
        raise Problem(SEVERAL_CHALLENGERS, detail)
    return others[0]


def _of_champion(context: Context, *, is_named: bool) -> Context:
    variants = context.variants
    shows = is_named or variants.are_several or bool(context.split.shares)
    if variants.champion == DEFAULT_VARIANT and not shows:
        return context
    shown = variants.champion if shows else None
    return _with(context, variants.of_champion(), variants.champion, shown, as_champion=True)


async def _named(context: Context, name: str) -> Context:
    stores = await context.variants.named(name)
    if stores is None:
        raise unknown_variant(name)
    return _with(context, stores, name, name, as_champion=False)


def _with(context: Context, stores: VariantStores, name: str, shown: str | None, *, as_champion: bool) -> Context:
    own = {field: getattr(stores, field) for field in _FIELDS}
    return replace(context, variant=name, as_champion=as_champion, shown_variant=shown, **own)


def unknown_variant(name: str) -> Problem:
    """The 404 answer."""
    return Problem(UNKNOWN_VARIANT, f"no worker has started as variant {name!r}; GET /variants lists them")
