"""All classes of nodes, where rows hold the most likely ones: the worker makes whole rows on request."""

from __future__ import annotations

from collections.abc import Sequence

from olad_core.config import PUBLISHED_CLASSES
from service.api.answers import All, require_few_cells, shown_classes
from service.api.context import Context
from service.api.waiting import Patience, read_nodes
from service.problems import CLASSES_UNAVAILABLE, Problem
from service.store.prediction_reader import Snapshot, with_whole_rows
from service.store.whole_rows import WholeRows, last_of

_ATTEMPTS = 5
"""A version that is served meanwhile takes one more."""
_LEAST_MS = 1


def lacks_classes(snapshot: Snapshot, top: int | All | None) -> bool:
    """Whether the rows hold too few classes for the answer."""
    model = snapshot.model
    return model is not None and model.lacks(shown_classes(model, top))


async def with_all_classes(
    context: Context, patience: Patience, nodes: Sequence[str], snapshot: Snapshot, top: int | All | None
) -> Snapshot:
    """The same nodes with all of their classes, exact at the position at which the worker answers.

    Args:
        context: the application's.
        patience: of the request.
        nodes: that were asked for.
        snapshot: of them.
        top: as it was asked for.

    Raises:
        Problem: 503 where the worker is away or does not answer in time, 413 where it would be too much.
        TooManyWaiting: too many wait.
        ClientDisconnect: nobody waits for the answer any more.
    """
    for _ in range(_ATTEMPTS):
        if snapshot.model is None or not lacks_classes(snapshot, top):
            return snapshot
        require_few_cells(snapshot, snapshot.model, top)
        there = list(dict.fromkeys(node for node, row in zip(nodes, snapshot.rows, strict=True) if row is not None))
        if not there:
            return with_whole_rows(snapshot, snapshot.model, nodes, WholeRows({}, 0))
        whole = await _requested(context, patience, there, snapshot)
        if whole is not None:
            return with_whole_rows(snapshot, snapshot.model, nodes, whole)
        snapshot = await read_nodes(context, nodes)
    raise _unavailable("the worker has not answered with them")


async def _requested(
    context: Context, patience: Patience, nodes: Sequence[str], snapshot: Snapshot
) -> WholeRows | None:
    """Whole rows; None where the worker has answered for another table."""
    if snapshot.model is None or snapshot.table is None:
        return None
    left_ms = max(_LEAST_MS, int(1000 * patience.left_s))
    requests = await context.whole_rows.request(nodes, len(snapshot.model.classes), left_ms)
    if not requests:
        raise _unavailable("the worker is away")
    context.metrics.rows_requested.inc(len(nodes))
    with context.watermark.answer_waiter(last_of(requests), patience.client) as done:
        if not await patience.wait_for(done):
            raise _unavailable(f"the worker has not answered within {patience.timeout_ms} ms")
    return await context.whole_rows.take(snapshot.table, requests)


def _unavailable(reason: str) -> Problem:
    detail = (
        f"{reason}: rows hold the {PUBLISHED_CLASSES} most likely classes, and the others are computed when they are "
        f"asked for; ?top={PUBLISHED_CLASSES} is answered without it"
    )
    return Problem(CLASSES_UNAVAILABLE, detail, headers={"Retry-After": "1"})
