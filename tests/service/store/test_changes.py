from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olad_core.judging.decisions import Decision
from olad_core.serving.publication import Publication, TableUpdate, Version
from olad_core.tasks.label_rule import LabelRule
from service.store import change_recorder, prediction_writer
from service.store.changes import change_id, next_id, parse_after, stream_id
from service.store.keys import Keys
from service.store.positions import parse_position
from service.store.prediction_writer import PredictionWriter
from tests.olad_core.runs import BEST_OF_PAIR, Run, stream
from tests.service.publications import publication

CLASSES = ("a", "b", "c")


def started(client: redis.Redis, keys: Keys, kept: int = 10_000) -> PredictionWriter:
    writer = PredictionWriter(client, keys, changes_kept=kept)
    writer.start()
    return writer


@pytest.fixture
def writer(redis_client: redis.Redis, keys: Keys) -> PredictionWriter:
    return started(redis_client, keys)


def entries(client: redis.Redis, keys: Keys) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(keys.changes))


def recorded(client: redis.Redis, keys: Keys) -> list[dict[str, Any]]:
    return [json.loads(fields[b"event"]) for _, fields in entries(client, keys)]


def kinds(client: redis.Redis, keys: Keys) -> list[str]:
    return [event["type"].removeprefix("olad.") for event in recorded(client, keys)]


def labels(client: redis.Redis, keys: Keys) -> dict[str, tuple[str | None, str | None]]:
    """What each node was labelled before and after its last change."""
    found = [event["data"] for event in recorded(client, keys) if event["type"] == "olad.label-changed"]
    return {data["node"]: (data["before"], data["label"]) for data in found}


def decision(number: int, kind: Any = "drift", position: str = "1-0") -> Decision:
    return Decision(number, position, 5, kind, None, None, "errors of what was served rose", {"before": 0.1})


class TestIds:
    @given(st.integers(0, 2**50), st.integers(0, 2**40), st.integers(0, 2**20 - 1))
    def test_an_id_leads_back_to_its_place(self, milliseconds: int, sequence: int, number: int) -> None:
        at = stream_id((milliseconds, sequence), number)
        assert parse_after(change_id(at)) == at

    def test_the_order_is_that_of_the_log(self) -> None:
        ids = [stream_id(at, number) for at in ((1, 0), (1, 1), (2, 0)) for number in (0, 1)]
        assert ids == sorted(ids)
        last = None
        for at in ((1, 0), (1, 0), (1, 1), (1, 0)):
            newer = next_id(at, last)
            assert last is None or newer > last
            last = newer

    def test_a_position_alone_is_before_its_first_change_and_after_all_earlier_ones(self) -> None:
        for at in ((7, 2), (7, 0), (0, 0)):
            after = parse_after(f"{at[0]}-{at[1]}")
            assert after < next_id(at, None)
            assert after > next_id((6, 9), None) or at == (0, 0)

    @pytest.mark.parametrize(
        "text", ["", "x", "1-0.", "1-0.x", "1-0.-1", "1-0.1048576", "1-18446744073709551615.1", "1-0.²"]
    )
    def test_what_is_no_id(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no"):
            parse_after(text)


class TestRecording:
    def test_it_is_off_unless_asked_for(self, redis_client: redis.Redis, keys: Keys) -> None:
        writer = PredictionWriter(redis_client, keys)
        writer.start()
        writer.publish(publication("1-0", {"x": [1, 0]}, decisions=(decision(1),)))
        assert not redis_client.exists(keys.changes)

    def test_turned_off_it_leaves_nothing_that_seems_to_go_on(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"x": [1, 0]}))
        PredictionWriter(redis_client, keys).start()
        assert not redis_client.exists(keys.changes)
        again = started(redis_client, keys)
        again.publish(publication("1-0", {"x": [0, 1]}, version=2))
        ((_, fields),) = entries(redis_client, keys)
        # A reader who has seen an earlier change finds out that it is not known what came between.
        assert parse_position(fields[b"previous"].decode()) > parse_after("1-0")

    def test_a_change_is_a_cloud_event(self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> None:
        writer.publish(publication("1700000000000-2", {"x": [0.25, 0.75]}, version=3))
        (event,) = recorded(redis_client, keys)
        assert event == {
            "specversion": "1.0",
            "id": "1700000000000-2.1",
            "source": f"urn:olad:graph:{keys.graph}",
            "type": "olad.label-changed",
            "subject": "x",
            "time": "2023-11-14T22:13:20.000+00:00",
            "datacontenttype": "application/json",
            "position": "1700000000000-2",
            "data": {
                "node": "x",
                "before": None,
                "label": "b",
                "probability": 0.75,
                "student": "sage",
                "model_version": 3,
            },
        }

    def test_only_other_labels_are_changes(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"x": [1, 0], "y": [0, 1]}))
        writer.publish(publication("2-0", {"x": [0.6, 0.4], "y": [0.7, 0.3]}))
        assert [event["id"] for event in recorded(redis_client, keys)] == ["1-0.1", "1-0.2", "2-0.1"]
        assert labels(redis_client, keys) == {"x": (None, "a"), "y": ("b", "a")}

    def test_a_node_that_leaves(self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> None:
        writer.publish(publication("1-0", {"x": [1, 0]}))
        writer.publish(publication("2-0", removed=("x", "never-there")))
        assert labels(redis_client, keys) == {"x": ("a", None)}
        assert len(recorded(redis_client, keys)) == 2

    def test_the_rule_decides_what_a_label_is(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        rule = LabelRule(thresholds={"b": 0.2})
        writer.publish(publication("1-0", {"x": [0.9, 0.1], "y": [0.9, 0.1]}))
        writer.publish(publication("2-0", {"x": [0.7, 0.3]}, rule=rule))
        assert labels(redis_client, keys)["x"] == ("a", "b")
        assert kinds(redis_client, keys)[2:] == ["rule-changed", "label-changed"]
        assert recorded(redis_client, keys)[2]["data"] == {"thresholds": {"b": 0.2}, "costs": {}}
        writer.publish(publication("3-0", {"x": [0.75, 0.25]}, rule=rule))
        assert len(recorded(redis_client, keys)) == 4

    def test_of_many_classes(self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> None:
        names = tuple(f"c{number}" for number in range(100))
        shares = np.array([[0.5, 0.3] + [0.001] * 30], np.float32)
        places = np.arange(32, dtype=np.int32)[None, :]
        for at, order in (("1-0", places), ("2-0", places[:, ::-1].copy())):
            rows = TableUpdate(1, ("x",), shares, shares[:, 0], rows=np.array([0]), classes=order)
            writer.publish(Publication(at, 1, (rows,), Version(1, "gat", names)))
        assert labels(redis_client, keys) == {"x": ("c0", "c31")}

    def test_decisions_come_with_the_publication_once(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        first = publication("1-0", {"x": [1, 0]}, decisions=(decision(1), decision(2, "version-refused")))
        writer.publish(first)
        assert kinds(redis_client, keys) == ["decision", "decision", "label-changed"]
        assert recorded(redis_client, keys)[0]["data"] == {
            "number": 1,
            "position": "1-0",
            "applied_events": 5,
            "kind": "drift",
            "student": None,
            "model_version": None,
            "reason": "errors of what was served rose",
            "numbers": {"before": 0.1},
        }
        # As after an answer that was lost.
        writer.publish(first)
        writer.publish(replace(first, decisions=(*first.decisions, decision(3))))
        assert [event["data"].get("number") for event in recorded(redis_client, keys)] == [1, 2, None, 3]

    def test_each_names_the_one_before(self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys) -> None:
        writer.publish(publication("1-0", {"x": [1, 0], "y": [1, 0]}))
        started(redis_client, keys).publish(publication("1-0", {"x": [0, 1], "y": [1, 0]}, version=2))
        found = entries(redis_client, keys)
        assert [fields[b"previous"] for _, fields in found] == [b"0-0", *(each for each, _ in found[:-1])]

    def test_it_is_bounded(self, redis_client: redis.Redis, keys: Keys) -> None:
        writer = started(redis_client, keys, kept=200)
        for at in range(1, 1200):
            writer.publish(publication(f"{at}-0", {"x": [at % 2, 1 - at % 2]}))
        # Redis trims whole nodes of a hundred entries.
        assert 200 <= redis_client.xlen(keys.changes) <= 400


class TestVersions:
    def test_a_swap_lists_the_nodes_whose_label_is_another_one(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
    ) -> None:
        writer.publish(publication("1-0", {"x": [1, 0], "y": [1, 0], "z": [1, 0]}))
        writer.publish(publication("1-0", {"x": [0, 1], "y": [0, 1], "z": [1, 0]}, into=2, coming=2))
        # Not visible yet.
        assert len(recorded(redis_client, keys)) == 3
        # Meanwhile an event changes the label of what is served.
        writer.publish(publication("2-0", {"x": [0, 1]}, coming=2))
        writer.publish(publication("2-0", version=2, dropped=(1,)))
        *_, early, late = recorded(redis_client, keys)
        assert (early["data"]["node"], early["data"]["model_version"]) == ("x", 1)
        assert (late["data"]["node"], late["data"]["model_version"]) == ("y", 2)
        assert [early["id"], late["id"]] == ["2-0.1", "2-0.2"]

    def test_so_many_are_listed_and_the_others_counted(
        self, writer: PredictionWriter, redis_client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(change_recorder, "LISTED", 3)
        monkeypatch.setattr(change_recorder, "_NAMED", 4)
        names = [f"n{number}" for number in range(10)]
        writer.publish(publication("1-0", {name: [1, 0] for name in names}))
        assert kinds(redis_client, keys) == ["label-changed"] * 3 + ["labels-not-listed"]
        writer.publish(publication("1-0", {name: [0, 1] for name in names[:8]}, into=2, coming=2))
        writer.publish(publication("1-0", version=2))
        assert kinds(redis_client, keys)[4:] == ["label-changed"] * 3 + ["labels-not-listed"]
        assert recorded(redis_client, keys)[-1]["data"] == {"count": 5, "student": "sage", "model_version": 2}


def test_changes_of_a_real_engine_lead_to_what_readers_see(
    writer: PredictionWriter, redis_client: redis.Redis, keys: Keys
) -> None:
    run = Run(BEST_OF_PAIR)
    for batch in stream(turns=10):
        run.turn(batch, steps=5)
    for one in run.published:
        writer.publish(one)
    found: dict[str, str] = {}
    by_version: dict[int, int] = {}
    for event in recorded(redis_client, keys):
        data = event["data"]
        if event["type"] == "olad.label-changed":
            assert found.pop(data["node"], None) == data["before"], event
            by_version[data["model_version"]] = by_version.get(data["model_version"], 0) + 1
            if data["label"] is not None:
                found[data["node"]] = data["label"]
    served = run.engine.versions.served
    assert served is not None
    table = run.reader.tables[served.version.number]
    assert found == {node: served.version.classes[int(shares.argmax())] for node, shares in table.items()}
    # Versions that were swapped in, and events between them.
    assert len(by_version) > 2
    assert sum(by_version.values()) > len(found)


@dataclass
class World:
    """What a random worker publishes, and what readers then see."""

    client: redis.Redis
    keys: Keys
    writer: PredictionWriter
    at: int = 0
    version: int = 1
    candidate: dict[str, int] | None = None
    served: dict[str, int] = field(default_factory=dict)

    def seen(self) -> dict[str, str]:
        """The labels that stand in the table that readers see."""
        table = cast("bytes", self.client.hget(self.keys.served, "table"))
        rows = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.predictions(table.decode())))
        return {node.decode(): CLASSES[np.frombuffer(row, "<f4", 3, 24).argmax()] for node, row in rows.items()}

    def followed(self) -> dict[str, str]:
        """The labels that the changes lead to; each change begins with the label before it."""
        found: dict[str, str] = {}
        for event in recorded(self.client, self.keys):
            data = event["data"]
            assert found.get(data["node"]) == data["before"], event
            if data["label"] is None:
                del found[data["node"]]
            else:
                found[data["node"]] = data["label"]
        return found


def rows_of(labels: dict[str, int]) -> TableUpdate:
    shares = np.eye(3, dtype=np.float32)[list(labels.values())].reshape(len(labels), 3)
    places = np.array([int(node) for node in labels], np.int64)
    return TableUpdate(0, tuple(labels), shares, np.zeros(len(labels), np.float32), rows=places)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["events", "remove", "embed", "swap", "restart", "lost answer"]),
        st.dictionaries(st.sampled_from("01234567"), st.integers(0, 2), max_size=4),
        st.randoms(use_true_random=False),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_changes_lead_to_what_readers_see(
    redis_client: redis.Redis, keys: Keys, steps: Sequence[tuple[str, dict[str, int], Any]]
) -> None:
    redis_client.flushall()
    world = World(redis_client, keys, started(redis_client, keys))
    send(world, {"0": 0}, {})
    for what, change, random in steps:
        take(world, what, change, random)
        assert world.followed() == world.seen() == {node: CLASSES[label] for node, label in world.served.items()}


def send(world: World, own: dict[str, int], other: dict[str, int], removed: tuple[str, ...] = ()) -> None:
    """Publish rows of the served version and of the one on its way."""
    updates = [replace(rows_of(own), version=world.version, removed=removed)]
    if world.candidate is not None:
        updates.append(replace(rows_of(other), version=world.version + 1, removed=removed))
    world.served.update(own)
    coming = Version(world.version + 1, "gat", CLASSES) if world.candidate is not None else None
    served = Version(world.version, "sage", CLASSES)
    world.writer.publish(Publication(f"{world.at}-0", 0, tuple(updates), served, coming=coming))


def take(world: World, what: str, change: dict[str, int], random: Any) -> None:
    candidate = world.candidate
    if what in {"events", "lost answer"}:
        world.at += 1
        other = {node: random.randrange(3) for node in change if candidate is None or node in candidate}
        if candidate is not None:
            candidate.update(other)
        send(world, change, other)
        if what == "lost answer":
            send(world, change, other)
    elif what == "remove" and change:
        gone = tuple(node for node in change if node in world.served)
        for node in gone:
            del world.served[node]
            if candidate is not None:
                candidate.pop(node, None)
        send(world, {}, {}, gone)
    elif what == "embed":
        world.candidate = candidate = {} if candidate is None else candidate
        part = {node: random.randrange(3) for node in change if node in world.served}
        candidate.update(part)
        send(world, {}, part)
    elif what == "swap" and candidate is not None:
        rest = {node: random.randrange(3) for node in world.served if node not in candidate}
        world.candidate, world.served = None, {**candidate, **rest}
        world.version += 1
        update = replace(rows_of(rest), version=world.version)
        served = Version(world.version, "gat", CLASSES)
        world.writer.publish(Publication(f"{world.at}-0", 0, (update,), served, (world.version - 1,)))
    elif what == "restart":
        # The weights are others after a crash, so any label may be.
        world.writer = started(world.client, world.keys)
        world.candidate, world.version = None, world.version + 1
        world.served = {node: random.choice([label, 0, 1]) for node, label in world.served.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prediction_writer, "ROWS_PER_PIECE", 3)
            send(world, dict(world.served), {})
