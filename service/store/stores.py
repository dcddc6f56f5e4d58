"""The stores of one graph, as the API uses them: one client, one object for each kind of thing."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields

from limits.aio.storage import RedisStorage

from service.store.champion import ChampionStore
from service.store.connection import connect
from service.store.health import HealthReader
from service.store.keys import Keys
from service.store.log_writer import LogWriter
from service.store.outcomes import OutcomeReader
from service.store.rate_counts import shared_counts
from service.store.rejected import RejectedReader
from service.store.variant_stores import VariantStores, open_variant
from service.store.variants import Variants


@dataclass(frozen=True)
class Stores(VariantStores):
    """Everything that the API reads and writes in Redis; what a variant has is that of the default one, as champion.

    Attributes:
        log: batches are appended to.
        rejected: events that could not be applied.
        variants: every worker's report, and the predictions of each.
        outcomes: how what each of them served has scored.
        champion: which variant answers where a reader names none.
        health: of Redis.
        rate_counts: makes the counts of requests of each client, for all API processes.
        close: ends the connections.
    """

    log: LogWriter
    rejected: RejectedReader
    variants: Variants
    outcomes: OutcomeReader
    champion: ChampionStore
    health: HealthReader
    rate_counts: Callable[[], RedisStorage]
    close: Callable[[], Awaitable[None]]


def open_stores(
    url: str | None,
    graph: str,
    *,
    max_classes: int,
    max_waiting: int,
    max_streams: int,
    wait_replicas: int = 0,
    read_urls: Sequence[str] = (),
) -> Stores:
    """The stores of a graph; nothing is connected before the first use.

    Args:
        url: of Redis; None is the default one.
        graph: its name.
        max_classes: classes that may be declared or named by labels.
        max_streams: readers that may follow the changes at once.
        max_waiting: requests that may wait for a position or an answer at once.
        wait_replicas: replicas that must have an entry of the log before its position is returned.
        read_urls: of the replicas that predictions are read from.
    """
    keys = Keys(graph)
    redis = connect(url, keys)
    replicas = [connect(one, keys, "replica") for one in read_urls]

    def open_one(of: Keys, as_champion: bool) -> VariantStores:
        return open_variant(
            redis, replicas, of, max_waiting=max_waiting, max_streams=max_streams, as_champion=as_champion
        )

    variants = Variants(redis, keys, open_one)

    async def close() -> None:
        for client in (redis, *replicas):
            await client.aclose()

    return Stores(
        **{field.name: getattr(variants.default, field.name) for field in fields(VariantStores)},
        log=LogWriter(redis, keys, max_classes, wait_replicas),
        rejected=RejectedReader(redis, keys),
        variants=variants,
        outcomes=OutcomeReader(redis, keys),
        champion=ChampionStore(redis, keys, wait_replicas),
        health=HealthReader(redis, keys),
        rate_counts=functools.partial(shared_counts, redis, keys),
        close=close,
    )
