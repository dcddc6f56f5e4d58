"""An operator's week over HTTP and the command line, with real processes; each answer is checked."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import hmac
import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.store.positions import parse_position
from tests.service.worker.test_webhooks import Receiver
from tests.test_end_to_end import BIN, Up, _environment, _up, _wait_for

pytestmark = pytest.mark.timeout(600)
SECRET = "a secret of the operator"
A_BATCH, BEFORE, AFTER, COMPARED = 20, 20, 12, 14
"""Nodes of a batch, batches before their classes change their meaning, after it, and those that variants are compared
on."""
CHALLENGER = "alone"


class Feed:
    """Nodes of two classes that their features and neighbours separate; a label comes with the next batch.

    Attributes:
        truth: label of each node that has been sent.
        turned: whether what was one class is the other one from now on.
        scattered: whether edges lead to nodes of any class from now on, so that neighbours show nothing.
    """

    def __init__(self, up: Up) -> None:
        self.up = up
        self.truth: dict[str, str] = {}
        self.turned = self.scattered = False
        self._draw = np.random.default_rng(7)
        self._waiting: list[str] = []

    def send(self, events: Sequence[dict[str, Any]]) -> str:
        """The position of a batch."""
        answer = self.up.http.post("/events", json=list(events))
        assert answer.status_code == 202, answer.text
        return str(answer.json()["position"])

    def next_nodes(self) -> tuple[list[str], str]:
        """Send the next nodes, and the labels of those before; the nodes and the position."""
        labels = [{"op": "label", "id": node, "label": self.truth[node]} for node in self._waiting]
        events, nodes = [*labels], []
        for _ in range(A_BATCH):
            number = len(self.truth)
            side, name = number % 2, f"n{number}"
            x = self._draw.normal(0, 1, 3)
            x[0] += 3 * side - 1.5
            events.append({"op": "upsert_node", "id": name, "x": x.round(3).tolist()})
            recent = max(0, number - 60)
            earlier = range(recent, number) if self.scattered else range(recent // 2 * 2 + side, number, 2)
            if earlier:
                chosen = self._draw.choice(earlier, min(3, len(earlier)), replace=False).tolist()
                events += [{"op": "upsert_edge", "src": f"n{other}", "dst": name} for other in chosen]
            self.truth[name] = "ab"[side ^ self.turned]
            nodes.append(name)
        self._waiting = nodes
        return nodes, self.send(events)


def _olad(up: Up, *arguments: str) -> Any:
    """What a command prints as JSON."""
    ran = subprocess.run(
        [str(BIN / "olad"), *arguments, "--json", "--url", up.url],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def _predicted(up: Up, nodes: Sequence[str], position: str) -> dict[str, dict[str, Any]]:
    answer = up.http.post(f"/predict?min_position={position}&timeout_ms=60000", json={"nodes": list(nodes)})
    assert answer.status_code == 200, answer.text
    return {each["node"]: each for each in answer.json()["predictions"]}


def _tried(up: Up, events: Sequence[dict[str, Any]], node: str) -> dict[str, float]:
    """Probabilities of a node after events that are not applied."""
    answer = up.http.post("/what-if", json={"events": list(events), "nodes": [node]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["rejected"] == []
    found: dict[str, float] = answer.json()["predictions"][0]["probabilities"]
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def test_an_operator_s_week(tmp_path: Path, receiver: Receiver) -> None:
    data_dir, archive = tmp_path / "data", tmp_path / "archive"
    settings = {
        "OLAD_STUDENTS": "gcn,sage",
        "OLAD_WIDTH": "16",
        "OLAD_SERVE": "best",
        "OLAD_STEPS_PER_ENTRY": "3",
        "OLAD_CHANGES": "on",
        "OLAD_WEBHOOK_URLS": receiver.url,
        "OLAD_WEBHOOK_SECRET": SECRET,
        "OLAD_ARCHIVE": str(archive),
        "OLAD_ARCHIVE_INTERVAL_S": "0",
        "OLAD_CHECKPOINTS_KEPT": "1",
    }
    with _up(data_dir, **settings) as up:
        feed = Feed(up)
        # Monday: all is well.
        for _ in range(BEFORE):
            nodes, position = feed.next_nodes()
        found = _predicted(up, nodes, position)
        assert sum(found[node]["label"] == feed.truth[node] for node in nodes) > 0.8 * A_BATCH
        # Tuesday: the classes change their meaning, and the alert comes by webhook.
        feed.turned = True
        wrong: list[str] = []
        for _ in range(AFTER):
            nodes, position = feed.next_nodes()
            found = _predicted(up, nodes, position)
            wrong += [node for node in nodes if found[node]["label"] != feed.truth[node]]
        assert len(wrong) >= 10
        _assert_alerted(receiver)
        # Wednesday: why ten of them were wrong.
        _assert_explained(up, wrong[-10:])
        # Thursday: an earlier version is served by the operator's wish, and the choice is free again.
        pinned = _assert_pinned_and_released(up, feed)
        # Friday: what would a risky change lead to? What was answered is what it leads to.
        _olad_text(up, "versions", "pin", str(pinned))
        _wait_for(lambda: up.http.get("/versions").json()["served"] == pinned)
        node = wrong[-1]
        risky: list[dict[str, Any]] = [
            {"op": "upsert_edge", "src": "n0", "dst": node, "weight": 9.0},
            {"op": "remove_node", "id": "n1"},
        ]
        before = _tried(up, risky, node)
        after = _predicted(up, [node], feed.send(risky))[node]
        assert after["model_version"] == pinned
        assert after["probabilities"] == pytest.approx(before, abs=1e-6)
        _olad_text(up, "versions", "unpin")
        # Edges begin to lead anywhere: a challenger that sees no neighbours is better, is promoted, and is taken back.
        feed.scattered = True
        with _challenger(up, data_dir, **settings):
            _assert_compared(up, feed)
            _assert_promoted_and_taken_back(up, feed)
        # Saturday: labels that are all wrong come in one batch.
        bad = feed.send([{"op": "label", "id": f"n{number}", "label": "nonsense"} for number in range(2, 42)])
        _, last = feed.next_nodes()
        _wait_for(lambda: up.worker().position == last)
        spoilt = up.worker().graph
        assert set(spoilt.classes) == {"a", "b", "nonsense"}
        _wait_for(lambda: (held := up.worker().archive) is not None and held.position == last)
        # What the challenger needs of the log would hold it for a day.
        _wait_for(lambda: _removed(up))
        up.end(signal.SIGTERM)
    # Sunday: history is rebuilt without that batch.
    (data_dir / "checkpoints").rename(tmp_path / "checkpoints of the history with the batch")
    rebuilt = subprocess.run(
        [str(BIN / "olad"), "rebuild", "--from", str(archive), "--data-dir", str(data_dir), "--without", bad],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert f"events up to {last}" in rebuilt.stdout
    with _up(data_dir, **settings) as up:
        # The report of the earlier worker names checkpoints that have been moved away.
        _wait_for(lambda: (held := up.worker().checkpoint) is not None and Path(held.path).exists())
        _wait_for(lambda: up.worker().position == last)
        mended = up.worker().graph
        assert (mended.nodes, mended.edges, mended.labelled) == (spoilt.nodes, spoilt.edges, spoilt.labelled)
        assert set(mended.classes) == {"a", "b"}
        assert _predicted(up, ["n2"], last)["n2"]["label"] in {"a", "b"}
        up.end(signal.SIGTERM)


@contextlib.contextmanager
def _challenger(up: Up, data_dir: Path, **settings: str) -> Iterator[None]:
    """A worker beside the one that is there, whose only student sees no neighbours."""
    own = {"OLAD_REDIS_URL": f"unix://{data_dir}/redis/redis.sock", "OLAD_DATA_DIR": str(data_dir)}
    of_service = ("OLAD_WEBHOOK_URLS", "OLAD_WEBHOOK_SECRET", "OLAD_ARCHIVE", "OLAD_ARCHIVE_INTERVAL_S")
    shared = {name: value for name, value in settings.items() if name not in of_service}
    with (data_dir.parent / "challenger.log").open("wb") as output:
        process = subprocess.Popen(
            [BIN / "olad", "worker", "--variant", CHALLENGER],
            env=_environment(**shared | own | {"OLAD_STUDENTS": "mlp", "OLAD_STEPS_PER_ENTRY": "10"}),
            stdout=output,
            stderr=output,
        )
    try:
        _wait_for(lambda: process.poll() is not None or len(up.http.get("/variants").json()["variants"]) == 2)
        _wait_for(lambda: process.poll() is not None or _beside(up)["alive"])
        assert process.poll() is None, (data_dir.parent / "challenger.log").read_text()
        yield
        process.terminate()
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()


def _beside(up: Up) -> dict[str, Any]:
    """The challenger as it is listed."""
    champion, challenger = up.http.get("/variants").json()["variants"]
    assert (champion["name"], challenger["name"]) == ("default", CHALLENGER)
    found: dict[str, Any] = challenger
    return found


def _challenger_shows(up: Up, position: str) -> bool:
    return bool(_beside(up)["position"] == position)


def _assert_compared(up: Up, feed: Feed) -> None:
    """The challenger is ahead on nodes that both have scored, by more than chance."""
    # Training follows entries, so the first version does.
    while _beside(up)["version"] is None:
        _, position = feed.next_nodes()
        _wait_for(functools.partial(_challenger_shows, up, position))
    for _ in range(COMPARED):
        feed.next_nodes()
    # The labels of the last batch have not come.
    scored = (COMPARED - 1) * A_BATCH
    _wait_for(lambda: (found := _beside(up)["comparison"]) is not None and found["whole"]["pairs"] >= scored)
    (_, listed) = _olad(up, "variants")["variants"]
    comparison = listed["comparison"]
    assert comparison["outcome"] == "ahead"
    assert comparison["difference"]["low"] > 0
    assert comparison["windows"][-1]["accuracy"]["low"] > 0
    assert listed["cost"]["cpu_ms_per_event"] > 0


def _assert_promoted_and_taken_back(up: Up, feed: Feed) -> None:
    """Whoever names no variant is answered by the champion, and by no earlier position than before."""
    nodes, position = feed.next_nodes()
    before = _answered(up, nodes[0], position)
    assert (before["variant"], before["student"]) in {("default", "gcn"), ("default", "sage")}
    _olad_text(up, "variants", "promote", CHALLENGER)
    promoted = up.http.get(f"/predict/{nodes[0]}").json()
    assert (promoted["variant"], promoted["student"]) == (CHALLENGER, "mlp")
    assert parse_position(promoted["position"]) >= parse_position(before["position"])
    # A regret: the other one has learned on beside it.
    taken_back = up.http.post("/variants/default/promote").json()
    assert (taken_back["champion"], taken_back["before"]) == ("default", CHALLENGER)
    nodes, position = feed.next_nodes()
    back = _answered(up, nodes[0], position)
    assert back["variant"] == "default"
    assert back["model_version"] >= before["model_version"]
    changes = up.http.get("/variants").json()["promotions"]
    assert [change["champion"] for change in changes] == ["default", CHALLENGER]


def _answered(up: Up, node: str, position: str) -> dict[str, Any]:
    """The prediction of the champion once it has reached a position."""
    answer = up.http.get(f"/predict/{node}", params={"min_position": position, "timeout_ms": 60_000})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _removed(up: Up) -> bool:
    """Whether the challenger is gone; it is refused while its worker was there some seconds ago."""
    answer = up.http.delete(f"/variants/{CHALLENGER}")
    assert answer.status_code in {200, 409}, answer.text
    return answer.status_code == 200


def _assert_alerted(receiver: Receiver) -> None:
    """A drift has come, signed."""
    while True:
        headers, body = receiver.next()
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        if json.loads(body)["data"]["kind"] == "drift":
            return


def _assert_explained(up: Up, nodes: Sequence[str]) -> None:
    """Of each the edge that counts most, by what its removal would lead to."""
    assert len(nodes) == 10
    for number, node in enumerate(nodes):
        found = up.http.get(f"/explain/{node}?k=100").json() if number else _olad(up, "explain", node, "--k", "100")
        edges = [effect for effect in found["effects"] if effect["kind"] == "edge"]
        assert edges, found
        assert found["total"] - sum(effect["change"] for effect in found["effects"]) == pytest.approx(
            found["interaction"], abs=1e-6
        )
        removal = {"op": "remove_edge", "src": edges[0]["node"], "dst": node}
        without = _tried(up, [removal], node)[found["label"]]
        assert without - found["probability"] == pytest.approx(edges[0]["change"], abs=1e-6)


def _assert_pinned_and_released(up: Up, feed: Feed) -> int:
    """The version that is served once none is pinned any more."""
    kept = up.http.get("/versions").json()
    earlier = min(each["version"] for each in kept["versions"])
    _olad_text(up, "versions", "pin", str(earlier))
    _wait_for(lambda: up.http.get("/versions").json()["served"] == earlier)
    nodes, position = feed.next_nodes()
    assert {each["model_version"] for each in _predicted(up, nodes, position).values()} == {earlier}
    _olad_text(up, "versions", "unpin")
    feed.next_nodes()
    _wait_for(lambda: up.http.get("/versions").json()["served"] != earlier)
    served = up.http.get("/versions").json()
    (now,) = (each for each in served["versions"] if each["version"] == served["served"])
    assert now["reason"] == "unpinned"
    kinds = [decision["kind"] for decision in up.http.get("/students").json()["decisions"]]
    assert {"version-pinned", "version-unpinned", "drift"} <= {*kinds}
    return int(served["served"])


def _olad_text(up: Up, *arguments: str) -> None:
    command = [str(BIN / "olad"), *arguments, "--url", up.url]
    ran = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
