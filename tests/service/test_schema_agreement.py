"""The schema as the API holds it and the graph of the worker: both follow from the log, so they agree."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import replace

import msgspec
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from olad_core.engine import Engine
from olad_core.events import (
    Event,
    GraphSchema,
    InvalidEvents,
    LabelNode,
    RemoveEdge,
    RemoveNode,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
)
from olad_core.schema import HeldSchema, SchemaConflict, TooManyClasses
from service.store.connection import connect
from service.store.keys import Keys
from service.store.log_reader import LogReader
from service.store.log_writer import LogWriter
from tests.device import DEVICE
from tests.olad_core.runs import PAIR
from tests.redis_server import RedisServer
from tests.service.store.test_log import decoded

MOST = 4
_number = itertools.count()
_nodes = st.sampled_from("abc")
_labels = st.sampled_from("pqrstu")
_types = st.sampled_from([None, None, "edge", "sent"])
_node_type = st.fixed_dictionaries({}, optional={"feature_width": st.integers(1, 2)})
_kinds = st.sampled_from([None, None, "account", "device"])
_edge_type = st.fixed_dictionaries(
    {},
    optional={
        "directed": st.booleans(),
        "lifetime": st.just(3.0),
        "ids": st.booleans(),
        "feature_width": st.none() | st.integers(1, 2),
    },
)
_edge_ids = st.sampled_from([None, "1", "2"])
_x = st.none() | st.integers(1, 4).map(lambda width: [1.0] * width) | st.just(SparseFeatures([0], [2.0]))
_event: st.SearchStrategy[Event] = st.one_of(
    st.builds(UpsertNode, _nodes, _x, st.none() | _labels),
    st.builds(UpsertNode, _nodes, _x, type=_kinds),
    st.builds(UpsertEdge, _nodes, _nodes, type=_types, id=_edge_ids, x=st.none() | _x),
    st.builds(RemoveEdge, _nodes, _nodes, _types),
    st.builds(RemoveEdge, st.none(), st.none(), _types, _edge_ids),
    st.builds(LabelNode, _nodes, _labels),
    st.builds(RemoveNode, _nodes),
)
_change = st.fixed_dictionaries(
    {},
    optional={
        "feature_width": st.none() | st.integers(1, 4),
        "classes": st.lists(_labels, unique=True, max_size=MOST + 1),
        "directed": st.booleans(),
        "edge_lifetime": st.none() | st.just(5.0),
        "node_types": st.dictionaries(st.sampled_from(["account", "device"]), _node_type, max_size=2),
        "edge_types": st.dictionaries(st.sampled_from(["edge", "sent"]), _edge_type, max_size=2),
    },
).map(GraphSchema.model_validate)
_steps = st.lists(_change | st.lists(_event, min_size=1, max_size=4), max_size=12)


async def _send(url: str, keys: Keys, steps: list[GraphSchema | list[Event]]) -> HeldSchema:
    """Send all of it as two API processes do, in turn, each with its own cache; the schema at the end."""
    clients = [connect(url, keys), connect(url, keys)]
    logs = itertools.cycle([LogWriter(client, keys, MOST) for client in clients])
    for step in steps:
        log = next(logs)
        with contextlib.suppress(SchemaConflict, TooManyClasses, InvalidEvents):
            if isinstance(step, GraphSchema):
                await log.declare(step)
            else:
                await log.append(msgspec.json.encode(step), decoded, None)
    schema = await next(logs).schema()
    for client in clients:
        await client.aclose()
    return schema


@settings(max_examples=150, deadline=None)
@given(steps=_steps, skipped=st.sets(st.integers(0, 11)))
def test_they_agree_after_any_sequence(
    redis_server: RedisServer, steps: list[GraphSchema | list[Event]], skipped: set[int]
) -> None:
    keys = Keys(f"agreement-{next(_number)}")
    held = asyncio.run(_send(redis_server.url, keys, steps))
    with contextlib.closing(redis.Redis.from_url(redis_server.url)) as client:
        entries = LogReader(client, keys).read("0-0", max_events=10_000)
    engine = Engine(replace(PAIR, max_classes=MOST), DEVICE)
    for number, entry in enumerate(entries):
        if entry.schema is not None:
            engine.declare(entry.position, entry.schema)
        elif number in skipped:
            engine.skip(entry.position, entry.count, "set aside", entry.text(), entry.events)
        else:
            engine.apply(entry.position, entry.events, 0.0)
    engine.refresh()
    reasons = {rejected.reason for rejected in engine.take_publication().rejected}
    assert not reasons & {"schema-conflict", "feature-width", "too-many-classes", "unknown-type", "edge-id"}
    graph = engine.graph.schema
    assert graph.model_copy(update={"classes": ()}) == held.model_copy(update={"classes": ()})
    assert len(graph.classes) <= MOST
    assert set(held.classes) <= set(graph.classes)
