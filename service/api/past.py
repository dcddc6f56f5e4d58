"""What was answered of a node at an earlier position."""

from __future__ import annotations

from service.api.answers import All, prediction, shown_classes
from service.api.context import Context
from service.api.errors import invalid
from service.problems import INVALID_REQUEST, NOT_KEPT, UNKNOWN_NODE, Problem
from service.store.past_rows import NotKept, PastReader
from service.store.positions import PositionPair, parse_position


async def past_prediction(context: Context, node: str, at: str, top: int | All | None) -> dict[str, object]:
    """The answer of then, and whether its row was marked.

    Args:
        context: of the application.
        node: its id.
        at: position that predictions showed.
        top: as for an answer of now; rows of many classes are kept with their most likely ones alone.

    Raises:
        Problem: 410 where that is not kept, 404 where the node was not in the graph, 422 where nothing was served at
            such a position or more classes are asked for than are kept.
    """
    try:
        position = parse_position(at)
    except ValueError as error:
        raise invalid(INVALID_REQUEST, [{"field": "at", "message": str(error)}]) from None
    found = await (await _then_asked(context, position)).read(node, position)
    if isinstance(found, NotKept):
        raise _not_kept(found, at)
    moment = found.moment
    context.metrics.predictions.inc()
    if found.row is None:
        detail = f"node {node!r} was not in the graph at this position"
        raise Problem(UNKNOWN_NODE, detail, position=moment.position, behind=moment.behind)
    if found.model.lacks(shown_classes(found.model, top)):
        message = f"of earlier positions the {found.model.rows.held} most likely classes are kept"
        raise invalid(INVALID_REQUEST, [{"field": "top", "message": message}])
    return {**prediction(node, found.row, found.model, moment, top, context.named), "marked": found.marked}


async def _then_asked(context: Context, position: PositionPair) -> PastReader:
    """Where the answers of that position are kept: those of the variant that was the champion then."""
    if not context.as_champion:
        return context.past
    then = await context.champion.at(position)
    stores = await context.variants.named(then) if then != context.variant else None
    return stores.past if stores is not None else context.past


def _not_kept(found: NotKept, at: str) -> Problem:
    if found.visible is not None:
        message = f"{at} is later than predictions show, {found.visible}; wait for it with min_position"
        return invalid(INVALID_REQUEST, [{"field": "at", "message": message}])
    if found.oldest is None:
        return Problem(NOT_KEPT, "answers of earlier positions are not kept: set OLAD_HISTORY_ROWS for the worker")
    return Problem(NOT_KEPT, f"answers are kept from position {found.oldest} on", position=found.oldest)
