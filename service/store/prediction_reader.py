"""The API's side of the predictions: what is served at one moment, in one step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
from redis.asyncio import Redis

from olad_core.config import PUBLISHED_CLASSES, PUBLISHED_WHOLE
from olad_core.errors import OladError
from olad_core.tasks.label_rule import LabelRule, RuleTable, decide, decide_among
from service.store.champion import ChampionMoved
from service.store.keys import Keys
from service.store.label_rules import load_rule
from service.store.marks import marked_in
from service.store.positions import START, PositionPair, parse_position, position_text
from service.store.rows import (
    SHORT_FORMAT,
    WHOLE_FORMAT,
    RowDecoder,
    ShortRowDecoder,
    WholeRowDecoder,
    classes_in,
    graph_rows,
    origin,
)
from service.store.scripts import script
from service.store.whole_rows import WholeRows

_READS_PER_CALL = 1_000
_BYTES_PER_CALL = 2**20
"""Of rows that single reads share one call for."""
_FORMATS = (b"%d" % WHOLE_FORMAT, b"%d" % SHORT_FORMAT)


@dataclass(frozen=True)
class Model:
    """The published version that readers see.

    Attributes:
        version: its number.
        student: who made it.
        classes: of its rows, in their order.
        rows: reads its rows, which hold all classes or the most likely ones.
        rule: what turns their probabilities into labels; None where that is the likeliest class.
    """

    version: int
    student: str
    classes: tuple[str, ...]
    rows: RowDecoder
    rule: RuleTable | None = None

    @property
    def has_many_classes(self) -> bool:
        """Whether an answer shows the most likely classes unless more are asked for."""
        return len(self.classes) > PUBLISHED_WHOLE

    def decided(self, rows: Sequence[bytes]) -> npt.NDArray[np.int64] | None:
        """The class that labels each row by the rule; None where it is the likeliest one.

        With many classes the rule sees the most likely ones alone, which every row holds.
        """
        if self.rule is None:
            return None
        if not self.has_many_classes:
            return decide(self.rows.all_of(rows), self.rule)
        best = self.rows.ranked(rows, PUBLISHED_CLASSES)
        return decide_among(best.classes, best.probabilities, self.rule)

    def lacks(self, top: int | None) -> bool:
        """Whether the rows do not hold so many of the most likely classes; None stands for all of them."""
        return self.rows.held < min(len(self.classes), top or len(self.classes))


def model_of(version: int, student: str, classes: tuple[str, ...], row_format: int, rule: LabelRule) -> Model:
    """The model whose rows have a layout (:mod:`service.store.rows`)."""
    decoder = WholeRowDecoder(len(classes)) if row_format == WHOLE_FORMAT else ShortRowDecoder()
    return Model(version, student, classes, decoder, rule.table(classes) if rule else None)


class Moment(NamedTuple):
    """How much of the log an answer knows.

    Attributes:
        position: the answer is exact for the graph at this position.
        behind: events in the log after it.
    """

    position: str
    behind: int


@dataclass(frozen=True)
class Snapshot:
    """What is served at one moment.

    Attributes:
        visible: position that readers see; rows that are not marked are exact there.
        model: the version that made the rows; None while none is published.
        table: name of the table that holds the rows; None while there is none.
        rows: one for each node asked for; None for a node that is not in the graph.
        moments: of each row: the visible one, or where it was computed if it is marked.
        marked: places of the marked rows, in order.
        answered: id of the last request that is answered.
        heartbeat: whether the worker is there (:mod:`service.store.presence`); read only where a row may be marked.
    """

    visible: Moment
    model: Model | None
    table: str | None
    rows: Sequence[bytes | None]
    moments: Sequence[Moment]
    marked: Sequence[int]
    answered: PositionPair
    heartbeat: bool

    def earlier_than(self, wanted: PositionPair) -> list[int]:
        """Places of the rows that are exact for an earlier position only."""
        return [place for place in self.marked if parse_position(self.moments[place].position) < wanted]

    def with_rows(self, places: Sequence[int], newer: Snapshot) -> Snapshot:
        """The same with some rows read anew, each with its own moment.

        Args:
            places: of these rows.
            newer: those rows alone, of the same table.
        """
        rows, moments = list(self.rows), list(self.moments)
        for place, row, moment in zip(places, newer.rows, newer.moments, strict=True):
            rows[place], moments[place] = row, moment
        marked = sorted(({*self.marked} - {*places}) | {places[place] for place in newer.marked})
        heartbeat = newer.heartbeat if newer.marked else self.heartbeat
        return replace(newer, visible=self.visible, rows=rows, moments=moments, marked=marked, heartbeat=heartbeat)


def with_whole_rows(snapshot: Snapshot, model: Model, nodes: Sequence[str], whole: WholeRows) -> Snapshot:
    """The snapshot with whole rows in place of its own, each with its own moment.

    Args:
        snapshot: of the nodes.
        model: that made the rows.
        nodes: that were asked for.
        whole: their rows, but of those that were not there.
    """
    rows, moments = [], []
    for node, row, moment in zip(nodes, snapshot.rows, snapshot.moments, strict=True):
        found = whole.rows.get(node) if row is not None else None
        rows.append(found)
        if found is None:
            moments.append(moment)
        else:
            at, applied_events = origin(found)
            moments.append(Moment(position_text(at), max(0, whole.appended - applied_events)))
    decoder = WholeRowDecoder(len(model.classes))
    return replace(snapshot, model=replace(model, rows=decoder), rows=rows, moments=moments, marked=())


class RowsTooLarge(OladError, ValueError):
    """The rows that were asked for have more bytes than may be read at once.

    Attributes:
        classes: probabilities in each row.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(f"too many rows of {classes:,} classes")
        self.classes = classes


class PredictionReader:
    """The API's side. Single reads that come at the same time share one call to Redis.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        appended: events known to have been appended; a replica may know of fewer.
        as_champion: whether the variant must be the champion; each read checks it, in the same step.
    """

    def __init__(
        self, redis: Redis, keys: Keys, appended: Callable[[], int] = int, *, as_champion: bool = False
    ) -> None:
        self._keys = keys
        self._required = keys.variant if as_champion else ""
        self._known_appended = appended
        self._script = redis.register_script(script("read_predictions"))
        self._model_fields: tuple[bytes, ...] = ()
        self._model: Model | None = None
        self._waiting: list[tuple[str, asyncio.Future[Snapshot]]] = []
        self._reading: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model | None:
        """The model of the last read; None before the first."""
        return self._model

    async def read(self, nodes: Sequence[str], most_bytes: int = 0) -> Snapshot:
        """The predictions of nodes, all of one moment.

        Args:
            nodes: their ids.
            most_bytes: of all their rows; 0 does not limit.

        Raises:
            RowsTooLarge: the rows have more bytes.
            ChampionMoved: another variant is the champion.
        """
        keys = self._keys
        found = await cast(
            "Awaitable[list[Any]]",
            self._script(
                keys=[keys.served, keys.appended, keys.heartbeat, keys.worker, keys.champion],
                args=[keys.predictions(""), keys.marks(""), most_bytes, self._required, *nodes],
            ),
        )
        if len(found) == 1:
            raise ChampionMoved(found[0].decode())
        served, appended, rows, passed, marked, heartbeat = found
        if passed:
            raise RowsTooLarge(classes_in(passed))
        position, applied, answered, version, student, classes, row_format, table, rule = served
        count = max(int(appended or 0), self._known_appended())
        visible = Moment(_text(position), max(0, count - int(applied or 0)))
        model = self._parse_model((version, student, classes, row_format), rule or b"")
        if model is None:
            rows, marked = [None] * len(nodes), []
        elif isinstance(marked, bytes):
            marked = _marked_places(rows, marked)
        moments = [visible] * len(rows)
        for place in marked:
            at, applied_events = origin(rows[place])
            moments[place] = Moment(position_text(at), max(0, count - applied_events))
        return Snapshot(
            visible=visible,
            model=model,
            table=table.decode() if table is not None else None,
            rows=rows,
            moments=moments,
            marked=marked,
            answered=parse_position(_text(answered)),
            heartbeat=bool(heartbeat),
        )

    async def read_one(self, node: str) -> Snapshot:
        """The prediction of one node; raises what :meth:`read` does."""
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting.append((node, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_waiting())
        return await future

    async def _read_waiting(self) -> None:
        while self._waiting:
            most = _READS_PER_CALL if self._model is None else _BYTES_PER_CALL // self._model.rows.size
            most = max(1, min(_READS_PER_CALL, most))
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
            try:
                all_of_them = await self.read([node for node, _ in taken])
            except Exception as error:
                for _, future in taken:
                    if not future.done():
                        future.set_exception(error)
                continue
            marked = frozenset(all_of_them.marked)
            for place, (_, future) in enumerate(taken):
                if not future.done():
                    future.set_result(_one_of(all_of_them, place, marked=place in marked))

    def _parse_model(self, fields: Sequence[bytes | None], rule: bytes) -> Model | None:
        version, student, classes, row_format = fields
        if version is None or student is None or classes is None or row_format not in _FORMATS:
            return None
        known = (version, student, classes, row_format, rule)
        if known != self._model_fields:
            names = msgspec.json.decode(classes, type=tuple[str, ...])
            self._model = model_of(int(version), student.decode(), names, int(row_format), load_rule(rule))
            self._model_fields = known
        return self._model


def _one_of(snapshot: Snapshot, place: int, *, marked: bool) -> Snapshot:
    """The snapshot with a single one of its rows."""
    return Snapshot(
        visible=snapshot.visible,
        model=snapshot.model,
        table=snapshot.table,
        rows=(snapshot.rows[place],),
        moments=(snapshot.moments[place],),
        marked=(0,) if marked else (),
        answered=snapshot.answered,
        heartbeat=snapshot.heartbeat,
    )


def _marked_places(rows: Sequence[bytes | None], bitmap: bytes) -> list[int]:
    places = [place for place, row in enumerate(rows) if row is not None]
    marked = marked_in(bitmap, graph_rows([row for row in rows if row is not None]))
    return [places[found] for found in np.flatnonzero(marked).tolist()]


def _text(position: bytes | None) -> str:
    return position.decode() if position is not None else START
