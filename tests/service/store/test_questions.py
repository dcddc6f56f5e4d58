"""Questions and their answers in Redis: asked, read by the worker, answered with a publication, taken once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest
import redis

from olad_core.serving.publication import Reply
from service.store.connection import connect
from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from service.store.questions import ExplainAsked, QuestionStore, Refused
from service.store.request_reader import AskedQuestion, RequestReader
from tests.redis_server import RedisServer
from tests.service.publications import publication

QUESTION = ExplainAsked("a", 3)


@pytest.fixture
async def questions(redis_server: RedisServer, keys: Keys) -> AsyncIterator[QuestionStore]:
    client = connect(redis_server.url, keys)
    yield QuestionStore(client, keys)
    await client.aclose()


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    writer = PredictionWriter(redis_client, keys)
    writer.start()
    writer.publish(publication("1-0", {"a": [0.5, 0.5]}))
    writer.heartbeat(60_000)
    return writer


@pytest.fixture
def reader(redis_client: redis.Redis, keys: Keys) -> RequestReader:
    reader = RequestReader(redis_client, keys)
    reader.begin()
    return reader


async def test_an_answer_is_taken_once_and_nothing_is_left(
    questions: QuestionStore, writer: PredictionWriter, reader: RequestReader, redis_client: redis.Redis, keys: Keys
) -> None:
    asked = await questions.ask(QUESTION, 60_000)
    assert asked is not None
    (request,) = reader.read()
    assert request.question == AskedQuestion(asked.name, msgspec.msgpack.encode(QUESTION))
    refused = Refused("too-large", 7, 5)
    answer = replace(
        publication("2-0", applied=4, answered=request.number),
        replies=(Reply(asked.name, msgspec.msgpack.encode(refused)),),
    )
    redis_client.set(keys.appended, 9)
    writer.publish(answer)
    assert 0 < redis_client.pttl(keys.reply(asked.name)) <= 5_000
    assert await questions.take(asked) == (refused, 9)
    assert await questions.take(asked) == (None, 9)
    assert not [*redis_client.scan_iter(keys.question("*")), *redis_client.scan_iter(keys.reply("*"))]


async def test_a_question_that_was_withdrawn_is_passed_over(
    questions: QuestionStore, writer: PredictionWriter, reader: RequestReader, redis_client: redis.Redis, keys: Keys
) -> None:
    gone, stays = await questions.ask(QUESTION, 60_000), await questions.ask(QUESTION, 60_000)
    assert gone is not None
    assert stays is not None
    assert 0 < redis_client.pttl(keys.question(stays.name)) <= 60_000
    await questions.withdraw(gone)
    first, second = reader.read(2)
    assert (first.question, first.nodes, first.list_name) == (None, (), None)
    assert second.question is not None
    assert second.question.name == stays.name


async def test_without_a_worker_nothing_is_written(
    questions: QuestionStore, redis_client: redis.Redis, keys: Keys
) -> None:
    assert await questions.ask(QUESTION, 60_000) is None
    assert not redis_client.exists(keys.requests)
    assert not list(redis_client.scan_iter(keys.question("*")))
