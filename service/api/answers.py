"""Answers about many nodes: made in slices, bounded by the numbers in them, sent in parts."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from olad_core.config import PUBLISHED_CLASSES
from service.api.body import JSON, client_of, too_much
from service.problems import TOO_LARGE, Problem
from service.shares import NoShare, Share
from service.store.prediction_reader import Model, Moment, Snapshot

MAX_CELLS = 1_000_000
"""Probabilities in one answer at most; as JSON they are about 25 MB."""
SMALL_BYTES = 64 * 2**10
"""An answer up to this size is not counted against what the process may hold: the server keeps as much of any."""
_CELLS_PER_STEP = 2_000
_PART_BYTES = 64 * 2**10
_PATIENCE_S = 30.0
_NOT_NAMED: Mapping[str, str] = {}
_BYTES_PER_S = 100_000


All = Literal["all"]


def shown_classes(model: Model, top: int | All | None) -> int | None:
    """How many of the most likely classes an answer shows; None where it shows all of them, in their order.

    Args:
        model: that made the prediction.
        top: as it was asked for; None where nothing was.
    """
    if top == "all":
        return None
    return PUBLISHED_CLASSES if top is None and model.has_many_classes else top


def rest_of(model: Model, probabilities: Collection[float]) -> float | None:
    """The probability of all classes but those that are shown; None where there are few classes, or all are shown."""
    if not model.has_many_classes or len(probabilities) >= len(model.classes):
        return None
    return max(0.0, 1.0 - math.fsum(probabilities))


def prediction(
    node: str | int,
    row: bytes,
    model: Model,
    moment: Moment,
    top: int | All | None = None,
    named: Mapping[str, str] = _NOT_NAMED,
) -> dict[str, Any]:
    """The answer for one node; with ``top`` its ``top`` most likely classes, the likeliest first.

    Without it these are all classes, or the most likely ones where there are many. ``named`` names the variant.
    """
    most = shown_classes(model, top)
    if most is None:
        found = model.rows.decode(row)
        place = found.probabilities.index(max(found.probabilities))
        shown = dict(zip(model.classes, found.probabilities, strict=True))
    else:
        found = model.rows.decode_top(row, most)
        place = found.classes[0]
        shown = {model.classes[index]: value for index, value in zip(found.classes, found.probabilities, strict=True)}
    decided = model.decided([row])
    if decided is not None:
        place = int(decided[0])
    rest = rest_of(model, found.probabilities)
    return {
        "node": node,
        "label": model.classes[place],
        "probabilities": shown,
        **({} if rest is None else {"rest": rest}),
        "disagreement": found.disagreement,
        "student": model.student,
        "model_version": model.version,
        "position": moment.position,
        "behind": moment.behind,
        **named,
    }


def not_found(node: str | int, model: Model, moment: Moment, named: Mapping[str, str] = _NOT_NAMED) -> dict[str, Any]:
    """The answer for a node that is not in the graph."""
    return {
        "node": node,
        "label": None,
        "error": "not-found",
        "student": model.student,
        "model_version": model.version,
        "position": moment.position,
        "behind": moment.behind,
        **named,
    }


def require_few_cells(snapshot: Snapshot, model: Model, top: int | All | None) -> None:
    """See that an answer does not become too large.

    Raises:
        Problem: 413 with the figures.
    """
    found = sum(row is not None for row in snapshot.rows)
    each = _shown(model, top)
    if found * each > MAX_CELLS:
        most = f"at most {MAX_CELLS // each:,} nodes at once, or for fewer classes of each with ?top="
        raise too_many_cells(found, each, MAX_CELLS, most)


def _shown(model: Model, top: int | All | None) -> int:
    return min(len(model.classes), shown_classes(model, top) or len(model.classes))


def too_many_cells(nodes: int, each: int, limit: int, ask_for: str) -> Problem:
    """The 413 answer: so many nodes with so many probabilities each are more than the limit."""
    figures = f"{nodes:,} nodes with {each:,} probabilities each are {nodes * each:,}, {limit:,} are allowed"
    return Problem(TOO_LARGE, f"{figures}: ask for {ask_for}")


def answer_parts(
    asked: Sequence[str | int],
    snapshot: Snapshot,
    model: Model,
    top: int | All | None,
    share: Share,
    named: Mapping[str, str] = _NOT_NAMED,
) -> Generator[None, None, list[bytes]]:
    """``{"predictions": [...]}`` in parts, a few rows between two ``yield``; the share grows with it.

    Raises:
        NoShare: the process holds too much already.
    """
    rows = max(1, _CELLS_PER_STEP // (_shown(model, top) + 8))
    parts = [b'{"predictions":[']
    for first in range(0, len(asked), rows):
        part = slice(first, first + rows)
        answers = [
            prediction(node, row, model, moment, top, named)
            if row is not None
            else not_found(node, model, moment, named)
            for node, row, moment in zip(asked[part], snapshot.rows[part], snapshot.moments[part], strict=True)
        ]
        text = msgspec.json.encode(answers)[1:-1]
        parts.append(b"," + text if first else text)
        share.grow(len(text))
        yield
    parts.append(b"]}")
    return parts


class PartsResponse(Response):
    """Sends a large answer in parts, each when the client has taken those before; then gives its share back.

    Args:
        parts: of the body.
        held: closed when all has been sent, or the client has gone.
        media_type: of the body.
    """

    def __init__(self, parts: Sequence[bytes], held: contextlib.ExitStack, media_type: str = JSON) -> None:
        self._parts = parts
        self._held = held
        self._length = sum(map(len, parts))
        super().__init__(None, headers={"content-length": str(self._length)}, media_type=media_type)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; a client that takes it too slowly loses its connection."""
        with self._held:
            async with asyncio.timeout(_PATIENCE_S + self._length / _BYTES_PER_S):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                for piece in self._pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _pieces(self) -> Iterator[bytes]:
        if self._length <= _PART_BYTES:
            yield b"".join(self._parts)
            return
        for part in self._parts:
            for first in range(0, len(part), _PART_BYTES):
                yield part[first : first + _PART_BYTES]


def one_answer(request: Request, body: bytes) -> Response:
    """The answer for one node; a large one is counted until it is sent.

    Raises:
        Problem: 429 or 503 where too much is held already.
    """
    if len(body) <= SMALL_BYTES:
        return Response(body, media_type=JSON)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(request.app.state.context.memory.take(client_of(request), len(body)))
        except NoShare as error:
            raise too_much(error) from None
        return PartsResponse([body], held.pop_all())
