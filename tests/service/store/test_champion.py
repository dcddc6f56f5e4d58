"""Which variant is the champion, and that whatever is read as the champion's is the champion's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from service.store.champion import ChampionMoved, ChampionStore, NotPromoted
from service.store.connection import connect
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.prediction_writer import PredictionWriter
from service.store.questions import Asked, ExplainAsked
from service.store.variant_stores import VariantStores, open_variant
from tests.redis_server import RedisServer
from tests.service.publications import publication

Opened = Callable[[str, bool], VariantStores]
READS: dict[str, Callable[[VariantStores], Awaitable[object]]] = {
    "predictions": lambda stores: stores.predictions.read(["n"]),
    "one prediction": lambda stores: stores.readers.read_one("n"),
    "a list": lambda stores: stores.lists.read("top:100:a"),
    "a question": lambda stores: stores.questions.ask(ExplainAsked("n", 1), 1),
    "an answer": lambda stores: stores.questions.take(Asked("q", (0, 0))),
    "whole rows": lambda stores: stores.whole_rows.take("t", ["1-0"]),
    "a report": lambda stores: stores.worker.report(),
    "an overview": lambda stores: stores.worker.overview(),
}


@pytest.fixture
async def champion(redis_server: RedisServer, keys: Keys) -> AsyncIterator[ChampionStore]:
    client = connect(redis_server.url, keys)
    yield ChampionStore(client, keys)
    await client.aclose()


@pytest.fixture
async def opened(redis_server: RedisServer, keys: Keys) -> AsyncIterator[Opened]:
    """Opens the stores of a variant, as the champion or not."""
    client = connect(redis_server.url, keys)
    yield lambda name, as_champion: open_variant(
        client, (), keys.of(name), max_waiting=10, max_streams=10, as_champion=as_champion
    )
    await client.aclose()


def show(client: redis.Redis, keys: Keys, name: str, position: str) -> PredictionWriter:
    """A worker that is there and shows a position."""
    own = keys.of(name)
    LogReader(client, own).hold()
    writer = PredictionWriter(client, own)
    writer.start()
    writer.publish(publication(position, {"n": (0.9, 0.1)}))
    writer.heartbeat(600_000)
    return writer


@pytest.mark.parametrize("what", READS)
async def test_what_is_read_as_the_champions_is_the_champions(
    what: str, champion: ChampionStore, opened: Opened, redis_client: redis.Redis, keys: Keys
) -> None:
    workers = [show(redis_client, keys, name, "1-0") for name in ("default", "wide")]
    read = READS[what]
    for name, other in (("default", "wide"), ("wide", "default"), ("default", "wide")):
        await champion.promote(name)
        for each in (name, other):
            await read(opened(each, False))
        await read(opened(name, True))
        with pytest.raises(ChampionMoved) as moved:
            await read(opened(other, True))
        assert moved.value.champion == name
    assert len(workers) == 2


async def test_the_champion_of_a_position_is_known(
    champion: ChampionStore, redis_client: redis.Redis, keys: Keys
) -> None:
    assert await champion.at((5, 0)) == "default"
    default, wide = (show(redis_client, keys, name, "3-0") for name in ("default", "wide"))
    await champion.promote("wide")
    wide.publish(publication("7-0", {"n": (0.9, 0.1)}))
    with pytest.raises(NotPromoted) as refused:
        await champion.promote("default")
    assert (refused.value.position, refused.value.wanted) == ("3-0", "7-0")
    default.publish(publication("8-0", {"n": (0.9, 0.1)}))
    done = await champion.promote("default")
    assert done is not None
    assert (done.variant, done.before, done.position) == ("default", "wide", "8-0")
    assert await champion.promote("default") is None
    expected = {2: "default", 3: "wide", 7: "wide", 8: "default", 9: "default"}
    assert {at: await champion.at((at, 0)) for at in expected} == expected
    assert [each.variant for each in await champion.promotions()] == ["wide", "default"]
