"""The variants of a graph as the API reads them: which there are, what each reports, and its predictions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from service.store.keys import Keys
from service.store.past_rows import PastReader
from service.store.prediction_reader import PredictionReader
from service.store.read_replicas import ReadReplicas
from service.store.request_writer import RequestWriter
from service.store.watermark import Watermark
from service.store.whole_rows import WholeRowStore
from service.store.worker_state import Overview, WorkerStateReader
from service.variant_names import DEFAULT_VARIANT

_KNOWN_S = 1.0
"""For so long it is not asked again whether there is a variant."""


@dataclass(frozen=True)
class VariantStores:
    """What reads the predictions of one variant, and the report of its worker."""

    predictions: PredictionReader
    readers: ReadReplicas
    watermark: Watermark
    requests: RequestWriter
    whole_rows: WholeRowStore
    past: PastReader
    worker: WorkerStateReader


@dataclass(frozen=True)
class VariantState:
    """A variant at one moment.

    Attributes:
        name: of the variant.
        needs: position after which it needs the log.
        overview: of its worker and the log.
    """

    name: str
    needs: str
    overview: Overview


class Variants:
    """All variants of one graph. A variant is one as soon as its worker has started.

    Args:
        redis: client that returns bytes.
        keys: of the graph.
        max_waiting: requests that may wait for a position of one variant at once.
    """

    def __init__(self, redis: Redis, keys: Keys, max_waiting: int) -> None:
        self._redis = redis
        self._keys = keys
        self._max_waiting = max_waiting
        self._opened: dict[str, tuple[VariantStores, asyncio.Task[None]]] = {}
        self._seen: dict[str, float] = {}

    async def all(self) -> list[VariantState]:
        """Every variant, the default one first, then by name."""
        needed = cast("dict[bytes, bytes]", await self._redis.hgetall(self._keys.needed))
        found = {name.decode(): position.decode() for name, position in needed.items()}
        names = sorted(found, key=lambda name: (name != DEFAULT_VARIANT, name))
        return [
            VariantState(name, found[name], await WorkerStateReader(self._redis, self._keys.of(name)).overview())
            for name in names
        ]

    async def named(self, name: str) -> VariantStores | None:
        """What reads the predictions of a variant; None where there is none of that name."""
        now = time.monotonic()
        if self._seen.get(name, float("-inf")) < now - _KNOWN_S:
            if not await self._redis.hexists(self._keys.needed, name):
                return None
            self._seen[name] = now
        if name not in self._opened:
            keys = self._keys.of(name)
            predictions = PredictionReader(self._redis, keys)
            stores = VariantStores(
                predictions=predictions,
                readers=ReadReplicas(self._redis, keys, predictions, ()),
                watermark=Watermark(self._redis, keys, self._max_waiting),
                requests=RequestWriter(self._redis, keys),
                whole_rows=WholeRowStore(self._redis, keys),
                past=PastReader(self._redis, keys),
                worker=WorkerStateReader(self._redis, keys),
            )
            self._opened[name] = stores, asyncio.create_task(stores.watermark.run())
        return self._opened[name][0]

    async def close(self) -> None:
        """End what runs in the background."""
        for _, task in self._opened.values():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._opened.clear()
