"""Waiting: for a position that readers do not see yet, and for marked rows that the worker renews on request."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator, Sequence

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from olad_core.serving.list_names import ListName
from service.api.context import Context
from service.api.errors import invalid
from service.problems import INVALID_REQUEST, POSITION_NOT_REACHED, Problem
from service.store.node_lists import FoundList
from service.store.positions import PositionPair, parse_position, position_text
from service.store.prediction_reader import Moment, Snapshot
from service.store.redis_refusals import REDIS_ERRORS
from service.store.watermark import TooManyWaiting

DEFAULT_TIMEOUT_MS = 5_000
_LATER_S, _LATER_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 0.005, 0.25
"""Rows of nodes with very many neighbours are computed after the answer to their request. They are read again, with
pauses between, each longer than the one before: for that long, or as long as a reader waits for ``min_position``."""
_NODES_AT_ONCE = 1_000
"""Marked rows that one reader requests at once: requests of others go between."""


class Patience:
    """How long a request waits in all, and whether its client is still there. Close it in the end.

    Args:
        receive: of the request, whose body has been read.
        client: whose share of the places counts.
        timeout_ms: for everything that the request waits for.
    """

    def __init__(self, receive: Receive, client: str, timeout_ms: int) -> None:
        self.client = client
        self.timeout_ms = timeout_ms
        self._receive = receive
        self._deadline = asyncio.get_running_loop().time() + timeout_ms / 1000
        self._gone: asyncio.Future[None] | None = None

    def __enter__(self) -> Patience:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._gone is not None:
            self._gone.cancel()

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    async def wait_for(self, future: asyncio.Future[None]) -> bool:
        """Wait until a future is done; whether it was in time.

        Raises:
            ClientDisconnect: nobody waits for the answer any more.
        """
        return await self._wait(future, self.left_s)

    async def _wait(self, future: asyncio.Future[None], seconds: float) -> bool:
        if self._gone is None:
            self._gone = asyncio.ensure_future(_disconnected(self._receive))
        await asyncio.wait((future, self._gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._gone.done():
            raise ClientDisconnect
        return future.done()

    async def pause(self, seconds: float) -> bool:
        """Wait for some time; whether there is any left afterwards.

        Raises:
            ClientDisconnect: nobody waits for the answer any more.
        """
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        in_time = seconds < self.left_s
        await self._wait(never, min(seconds, self.left_s))
        return in_time


async def _disconnected(receive: Receive) -> None:
    """Return when the client has closed its connection: its place is another's then."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def until_visible(
    context: Context, patience: Patience, min_position: str | None, nodes: Sequence[str] = ()
) -> PositionPair | None:
    """Wait until readers see a position.

    The nodes' rows are requested before the wait, so that the publication of the position has them.

    Args:
        context: the application's.
        patience: of the request.
        min_position: the position, None where none is asked for.
        nodes: that will be read then.

    Returns:
        The position, None where none is asked for.

    Raises:
        Problem: 422 where it is none, 504 where it takes too long.
        TooManyWaiting: too many wait.
        ClientDisconnect: nobody waits for the answer any more.
    """
    if min_position is None:
        return None
    try:
        wanted = parse_position(min_position)
    except ValueError as error:
        raise invalid(INVALID_REQUEST, [{"field": "min_position", "message": str(error)}]) from None
    if await context.readers.shows(wanted):
        return wanted
    visible = await _visible(context)
    if parse_position(visible.position) < wanted:
        context.metrics.waits.inc()
        if nodes:
            await _request_ahead(context, nodes)
        visible = await _wait_until_visible(context, patience, wanted)
    if parse_position(visible.position) < wanted:
        context.metrics.timeouts.inc()
        detail = (
            f"position {min_position} was not reached within {patience.timeout_ms} ms; predictions show "
            f"{visible.position}, {visible.behind} events behind the log"
        )
        raise Problem(POSITION_NOT_REACHED, detail, position=visible.position, behind=visible.behind)
    return wanted


async def _request_ahead(context: Context, nodes: Sequence[str]) -> None:
    """Request rows before they are read; where Redis refuses, they are requested afterwards."""
    with contextlib.suppress(*REDIS_ERRORS):
        await context.requests.request(nodes, (await context.predictions.read(())).answered)


async def _wait_until_visible(context: Context, patience: Patience, wanted: PositionPair) -> Moment:
    """What readers see once a position is passed, or when the time is up."""
    while True:
        with context.watermark.waiter(wanted, patience.client) as passed:
            # Only a read after the waiter is registered cannot miss the publication in between.
            visible = await _visible(context)
            if parse_position(visible.position) >= wanted:
                return visible
            if not await patience.wait_for(passed):
                return await _visible(context)


async def _visible(context: Context) -> Moment:
    return (await context.predictions.read(())).visible


async def renewed(
    context: Context,
    patience: Patience,
    nodes: Sequence[str],
    snapshot: Snapshot,
    wanted: PositionPair | None = None,
    most_bytes: int = 0,
) -> Snapshot:
    """The same rows, none of an earlier position than wanted, as far as the worker renews them in time.

    Where the worker is away, Redis refuses the request, or too many wait, a row stays as it is: it names its position.

    Args:
        context: the application's.
        patience: of the request.
        nodes: that were asked for.
        snapshot: of them.
        wanted: position that each row must be exact for, or a later one; None is the position that is visible in
            the snapshot.
        most_bytes: of all rows; 0 does not limit.

    Raises:
        RowsTooLarge: another version is served meanwhile, whose rows have more bytes.
        ClientDisconnect: nobody waits for the answer any more.
    """
    pauses = _pauses(_LATER_S if wanted is None else math.inf)
    if wanted is None:
        wanted = parse_position(snapshot.visible.position)
    answered_for: set[int] = set()
    while snapshot.heartbeat:
        still_early = snapshot.earlier_than(wanted)
        early = [place for place in still_early if place not in answered_for][:_NODES_AT_ONCE]
        # What is still early after its answer is computed later, or the node is not in the worker's graph.
        pause = None if early or not still_early else next(pauses, None)
        early = early or (still_early[:_NODES_AT_ONCE] if pause else [])
        if not early:
            break
        asked = [nodes[place] for place in early]
        try:
            if pause is None:
                in_time = await _answered(context, patience, asked, snapshot.answered)
            else:
                in_time = await patience.pause(pause)
        except (TooManyWaiting, *REDIS_ERRORS):
            break
        newer = await read_nodes(context, asked, most_bytes)
        if newer.table == snapshot.table:
            snapshot = snapshot.with_rows(early, newer)
            answered_for.update(early)
        else:
            snapshot = await read_nodes(context, nodes, most_bytes)
            answered_for.clear()
        if not in_time:
            break
    return snapshot


async def listed(
    context: Context, patience: Patience, name: ListName, found: FoundList, wanted: PositionPair | None
) -> FoundList:
    """A list that is of no earlier position than wanted, as far as the worker makes it in time.

    A list beside which rows are marked is made again: the worker may have computed some since.

    Args:
        context: the application's.
        patience: of the request.
        name: of the list.
        found: as it was read first.
        wanted: position that it must be exact for, or a later one; None is the one that was visible then.

    Raises:
        Problem: 504 where there is none in time; without ``min_position`` an earlier one is good enough.
        ClientDisconnect: nobody waits for the answer any more.
    """
    least = max(wanted or found.visible, found.visible)
    first, is_new = found, False
    while found.heartbeat and not (found.holds(least) and (is_new or not found.marked)):
        try:
            request = await context.requests.request_list(str(name), found.answered)
            with context.watermark.answer_waiter(request, patience.client) as done:
                is_new = await patience.wait_for(done)
        except (TooManyWaiting, *REDIS_ERRORS):
            break
        found = await context.lists.read(str(name))
        if not is_new:
            break
    if found.stored is None or not found.holds(wanted or (0, 0)):
        context.metrics.timeouts.inc()
        moment = Moment(position_text(first.visible), first.behind)
        detail = f"the list was not made within {patience.timeout_ms} ms; predictions show {moment.position}"
        raise Problem(POSITION_NOT_REACHED, detail, position=moment.position, behind=moment.behind)
    return found


def _pauses(longest_s: float) -> Iterator[float]:
    """Seconds between reads of rows that are computed later."""
    pause = waited = _LATER_PAUSE_S
    while waited < longest_s:
        yield pause
        pause = min(pause * 1.25, _LONGEST_PAUSE_S)
        waited += pause


async def _answered(context: Context, patience: Patience, nodes: Sequence[str], answered: PositionPair) -> bool:
    """Request rows and wait; whether they were answered in time."""
    context.metrics.rows_requested.inc(len(nodes))
    request = await context.requests.request(nodes, answered)
    with context.watermark.answer_waiter(request, patience.client) as done:
        return await patience.wait_for(done)


async def read_nodes(context: Context, nodes: Sequence[str], most_bytes: int = 0) -> Snapshot:
    """The rows of nodes as they are now.

    Raises:
        RowsTooLarge: they have more bytes than that; 0 does not limit.
    """
    if len(nodes) == 1:
        return await context.predictions.read_one(nodes[0])
    return await context.predictions.read(nodes, most_bytes)


def require_reached(context: Context, nodes: Sequence[str], snapshot: Snapshot, wanted: PositionPair | None) -> None:
    """See that no row is of an earlier position than ``min_position``.

    Raises:
        Problem: 504 with the earliest position of a row.
    """
    early = snapshot.earlier_than(wanted) if wanted is not None else []
    if not early or wanted is None:
        return
    context.metrics.timeouts.inc()
    place = min(early, key=lambda at: parse_position(snapshot.moments[at].position))
    moment = snapshot.moments[place]
    detail = (
        f"the prediction of node {nodes[place]!r} was not brought up to position {position_text(wanted)} in time; it "
        f"shows {moment.position}, {moment.behind} events behind the log"
    )
    raise Problem(POSITION_NOT_REACHED, detail, position=moment.position, behind=moment.behind)
