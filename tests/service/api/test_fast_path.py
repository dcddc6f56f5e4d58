from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
import redis

from service.store.keys import Keys
from service.store.prediction_writer import PredictionWriter
from tests.service.publications import publication


@pytest.mark.parametrize("node", ["1", "a/b", "a%b", "節點", "a?b=c"])
def test_both_ways_give_the_same_answer(
    api: httpx.Client, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys, node: str
) -> None:
    redis_client.set(keys.appended, 9)
    writer.publish(publication("5-0", {node: [0.25, 0.75]}, applied=7, version=3))
    path = f"/predict/{quote(node, safe='')}"
    # Two parameters go the ordinary way.
    ordinary = api.get(path, params={"timeout_ms": "0", "top": "2"})
    plain = api.get(path, params={"min_position": "5-0"})
    for short in (api.get(path), api.get(path, params={"timeout_ms": "0"}), plain):
        assert short.status_code == ordinary.status_code == 200
        assert short.content == plain.content
        assert short.json() == ordinary.json()
        assert short.headers["content-type"] == ordinary.headers["content-type"]


def test_what_it_does_not_answer_goes_the_ordinary_way(api: httpx.Client, writer: PredictionWriter) -> None:
    assert api.get("/predict/1").status_code == 503
    writer.publish(publication("5-0", {"1": [0.25, 0.75]}))
    assert api.get("/predict/unknown").status_code == 404
    assert api.get("/predict/%FF").status_code == 422
    assert api.get("/predict/").status_code == 422
    assert api.head("/predict/1").status_code == 200
    assert api.get("/predict/1?timeout_ms=60001").status_code == 422
    assert api.get("/predict/1?timeout_ms=-1").status_code == 422
    assert api.get("/predict/unknown?timeout_ms=0").status_code == 404
