"""What the API reads of one variant: as the champion, or as the variant that a reader has named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from service.store.change_reader import ChangeReader
from service.store.keys import Keys
from service.store.node_lists import ListReader
from service.store.past_rows import PastReader
from service.store.prediction_reader import PredictionReader
from service.store.questions import QuestionStore
from service.store.read_replicas import ReadReplicas
from service.store.request_writer import RequestWriter
from service.store.timeline import TimelineReader
from service.store.watermark import Watermark
from service.store.whole_rows import WholeRowStore
from service.store.worker_state import WorkerStateReader


@dataclass(frozen=True)
class VariantStores:
    """The predictions of one variant, and what else its worker writes and answers.

    Attributes:
        predictions: what is served, read from the primary.
        readers: the same, from a replica where one may answer.
        watermark: waits for positions and answers.
        requests: for marked rows, and for lists.
        lists: of nodes.
        whole_rows: for whole rows, where tables hold short ones.
        questions: to the worker, such as what events would lead to.
        changes: of what is served.
        worker: the worker's report, heartbeat and metrics.
        timeline: what it has reported over time.
        past: what was served at earlier positions.
    """

    predictions: PredictionReader
    readers: ReadReplicas
    watermark: Watermark
    requests: RequestWriter
    lists: ListReader
    whole_rows: WholeRowStore
    questions: QuestionStore
    changes: ChangeReader
    worker: WorkerStateReader
    timeline: TimelineReader
    past: PastReader


async def follow(stores: VariantStores) -> None:
    """Follow what comes, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for work in (stores.watermark.run(), stores.readers.follow(), stores.changes.run()):
            tasks.create_task(work)


def open_variant(
    redis: Redis, replicas: Sequence[Redis], keys: Keys, *, max_waiting: int, max_streams: int, as_champion: bool
) -> VariantStores:
    """The stores of a variant; nothing is connected before the first use.

    Args:
        redis: client of the primary; returns bytes.
        replicas: clients of those that predictions are read from.
        keys: of the variant.
        max_waiting: requests that may wait for a position or an answer at once.
        max_streams: readers that may follow the changes at once.
        as_champion: whether what is read must be the champion's. It raises
            :class:`~service.store.champion.ChampionMoved` once another variant is that.
    """
    predictions = PredictionReader(redis, keys, as_champion=as_champion)
    return VariantStores(
        predictions=predictions,
        readers=ReadReplicas(redis, keys, predictions, replicas, as_champion=as_champion),
        watermark=Watermark(redis, keys, max_waiting, as_champion=as_champion),
        requests=RequestWriter(redis, keys),
        lists=ListReader(redis, keys, as_champion=as_champion),
        whole_rows=WholeRowStore(redis, keys, as_champion=as_champion),
        questions=QuestionStore(redis, keys, as_champion=as_champion),
        changes=ChangeReader(redis, keys, max_streams),
        worker=WorkerStateReader(redis, keys, as_champion=as_champion),
        timeline=TimelineReader(redis, keys),
        past=PastReader(redis, keys),
    )
