"""The API's side of the predictions: what is served at one moment, in one step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from olad_core.errors import OladError
from service.store.keys import Keys
from service.store.positions import START
from service.store.rows import ROW_FORMAT, RowDecoder, classes_in
from service.store.scripts import script

_READS_PER_CALL = 1_000
_BYTES_PER_CALL = 2**20
"""Of rows that single reads share one call for."""


@dataclass(frozen=True)
class Model:
    """The published version that readers see."""

    version: int
    student: str
    classes: tuple[str, ...]
    rows: RowDecoder


@dataclass(frozen=True)
class Snapshot:
    """What is served at one moment.

    Attributes:
        position: position up to which the rows are true.
        behind: events in the log after it.
        model: the version that made the rows; None while none is published.
        rows: one for each node asked for; None for a node that is not in the graph.
    """

    position: str
    behind: int
    model: Model | None
    rows: Sequence[bytes | None]


class RowsTooLarge(OladError, ValueError):
    """The rows that were asked for have more bytes than may be read at once.

    Attributes:
        classes: probabilities in each row.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(f"too many rows of {classes:,} classes")
        self.classes = classes


class PredictionReader:
    """The API's side. Single reads that come at the same time share one call to Redis."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._keys = keys
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
        """
        keys = self._keys
        served, appended, rows, passed = await cast(
            "Awaitable[list[Any]]",
            self._script(keys=[keys.served, keys.appended], args=[keys.predictions(""), most_bytes, *nodes]),
        )
        if passed:
            raise RowsTooLarge(classes_in(passed))
        position, applied, *model = served
        behind = max(0, int(appended or 0) - int(applied or 0))
        return Snapshot(position.decode() if position else START, behind, self._parse_model(model[:4]), rows)

    async def read_one(self, node: str) -> Snapshot:
        """The prediction of one node."""
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
            rows = all_of_them.rows or [None] * len(taken)
            for (_, future), row in zip(taken, rows, strict=True):
                if not future.done():
                    future.set_result(Snapshot(all_of_them.position, all_of_them.behind, all_of_them.model, (row,)))

    def _parse_model(self, fields: Sequence[bytes | None]) -> Model | None:
        version, student, classes, row_format = fields
        if version is None or student is None or classes is None or row_format != b"%d" % ROW_FORMAT:
            return None
        if (version, student, classes) != self._model_fields:
            names = msgspec.json.decode(classes, type=tuple[str, ...])
            self._model = Model(int(version), student.decode(), names, RowDecoder(len(names)))
            self._model_fields = (version, student, classes)
        return self._model
