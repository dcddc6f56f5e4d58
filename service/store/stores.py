"""The stores of one graph, as the API uses them: one client, one object for each kind of thing."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from limits.aio.storage import RedisStorage

from service.store.change_reader import ChangeReader
from service.store.connection import connect
from service.store.health import HealthReader
from service.store.keys import Keys
from service.store.log_writer import LogWriter
from service.store.node_lists import ListReader
from service.store.outcomes import OutcomeReader
from service.store.past_rows import PastReader
from service.store.prediction_reader import PredictionReader
from service.store.questions import QuestionStore
from service.store.rate_counts import shared_counts
from service.store.read_replicas import ReadReplicas
from service.store.rejected import RejectedReader
from service.store.request_writer import RequestWriter
from service.store.timeline import TimelineReader
from service.store.variants import Variants
from service.store.watermark import Watermark
from service.store.whole_rows import WholeRowStore
from service.store.worker_state import WorkerStateReader


@dataclass(frozen=True)
class Stores:
    """Everything that the API reads and writes in Redis.

    Attributes:
        log: batches are appended to.
        predictions: what is served, read from the primary.
        readers: the same, from a replica where one may answer.
        watermark: waits for positions and answers.
        requests: for marked rows, and for lists.
        lists: of nodes.
        whole_rows: for whole rows, where tables hold short ones.
        questions: to the worker, such as what events would lead to.
        rejected: events that could not be applied.
        changes: of what is served.
        worker: the worker's report, heartbeat and metrics.
        variants: every worker's report, and the predictions of each.
        outcomes: how what each of them served has scored.
        health: of Redis.
        rate_counts: makes the counts of requests of each client, for all API processes.
        close: ends the connections.
    """

    log: LogWriter
    predictions: PredictionReader
    readers: ReadReplicas
    watermark: Watermark
    requests: RequestWriter
    lists: ListReader
    whole_rows: WholeRowStore
    questions: QuestionStore
    rejected: RejectedReader
    changes: ChangeReader
    worker: WorkerStateReader
    variants: Variants
    outcomes: OutcomeReader
    timeline: TimelineReader
    past: PastReader
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
    predictions = PredictionReader(redis, keys)

    variants = Variants(redis, keys, max_waiting)

    async def close() -> None:
        await variants.close()
        for client in (redis, *replicas):
            await client.aclose()

    return Stores(
        log=LogWriter(redis, keys, max_classes, wait_replicas),
        predictions=predictions,
        readers=ReadReplicas(redis, keys, predictions, replicas),
        watermark=Watermark(redis, keys, max_waiting),
        requests=RequestWriter(redis, keys),
        lists=ListReader(redis, keys),
        whole_rows=WholeRowStore(redis, keys),
        questions=QuestionStore(redis, keys),
        rejected=RejectedReader(redis, keys),
        changes=ChangeReader(redis, keys, max_streams),
        worker=WorkerStateReader(redis, keys),
        variants=variants,
        outcomes=OutcomeReader(redis, keys),
        timeline=TimelineReader(redis, keys),
        past=PastReader(redis, keys),
        health=HealthReader(redis, keys),
        rate_counts=functools.partial(shared_counts, redis, keys),
        close=close,
    )
