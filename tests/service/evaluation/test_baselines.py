"""Baselines against a naive oracle that follows the stream with dictionaries: only what was known before is used."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.events import Event, GraphSchema, LabelNode, UpsertEdge, UpsertNode
from service.evaluation.baselines import baseline
from service.evaluation.baselines.boosting import gradient_boosting, informed_boosting
from service.evaluation.baselines.follower import BaselinePlayer
from service.evaluation.configurations import WrongConfiguration
from service.evaluation.players import EnginePlayer, Player
from service.replay.arrival_stream import Batch
from tests.device import DEVICE
from tests.service.evaluation.streams import CLASSES, PlainGraph, tiny_batches

SCHEMA = GraphSchema(feature_width=2, classes=CLASSES)
HAS_RIVER = importlib.util.find_spec("river") is not None


def played(player: Player, batches: list[Batch]) -> list[npt.NDArray[np.float32]]:
    player.declare(SCHEMA)
    answers = []
    for number, batch in enumerate(batches, start=1):
        answers.append(player.apply(number, batch).probabilities)
        player.learn()
    return answers


def oracle(batches: list[Batch], rule: Callable[[PlainGraph, str, tuple[str, ...]], list[float]]) -> list[list[float]]:
    graph, found = PlainGraph(), []
    for batch in batches:
        graph.apply(batch)
        found += [rule(graph, node, batch.nodes) for node in batch.nodes]
    return found


def majority(graph: PlainGraph, _node: str, hidden: tuple[str, ...]) -> list[float]:
    counts = graph.frequency(hidden)
    return [count / sum(counts) if sum(counts) else np.nan for count in counts]


def vote(graph: PlainGraph, node: str, hidden: tuple[str, ...]) -> list[float]:
    counts = graph.frequency(hidden)
    if not sum(counts):
        return [np.nan] * len(CLASSES)
    votes = [
        near + 0.5 * (count + 1) / (sum(counts) + len(CLASSES))
        for near, count in zip(graph.near(node, hidden), counts, strict=True)
    ]
    return [one / sum(votes) for one in votes]


@pytest.mark.parametrize(("name", "rule"), [("majority", majority), ("vote", vote)])
@pytest.mark.parametrize("delay", [0, 7])
def test_counting_baselines_are_the_naive_oracle(
    name: str, rule: Callable[[PlainGraph, str, tuple[str, ...]], list[float]], delay: int
) -> None:
    batches = tiny_batches(120, delay=delay)
    np.testing.assert_allclose(np.concatenate(played(baseline(name), batches)), oracle(batches, rule), rtol=1e-5)


def boosting() -> Any:
    return HistGradientBoostingClassifier(random_state=0)


def regression() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))


@pytest.mark.parametrize(
    ("name", "build", "row"),
    [
        ("gradient-boosting", boosting, PlainGraph.row),
        ("logistic-regression", regression, PlainGraph.propagated),
    ],
)
def test_retrained_baselines_are_the_naive_oracle(
    name: str, build: Callable[[], Any], row: Callable[[PlainGraph, str, tuple[str, ...]], list[float]]
) -> None:
    """Trained after 125 and 250 arrivals on the rows of arrival whose labels had come by then."""
    batches = tiny_batches(300, delay=20, size=5)
    answers = np.concatenate(played(baseline(name), batches))
    graph, rows, known = PlainGraph(), dict[str, list[float]](), list[str]()
    model: Any = None
    expected, arrived = [], 0
    for batch in batches:
        known += graph.apply(batch)
        for node in batch.nodes:
            rows[node] = row(graph, node, batch.nodes)
            if model is None:
                expected.append(majority(graph, node, batch.nodes))
            else:
                expected.append(model.predict_proba([rows[node]])[0].tolist())
        before, arrived = arrived, arrived + len(batch.nodes)
        if any(before < due <= arrived for due in (125, 250)):
            model = build()
            model.fit([rows[node] for node in known], [CLASSES.index(graph.labels[node]) for node in known])
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-6)
    right = answers[150:].argmax(axis=1) == [CLASSES.index(label) for label in _truths(batches)[150:]]
    assert right.mean() > 0.5


def test_the_degree_of_neighbours_is_a_column_for_informed_trees() -> None:
    """Leaves at hubs are of one class, and nothing else shows which."""
    events: list[Event] = []
    for hub in range(200):
        others = [f"other-{hub}-{place}" for place in range(8 if hub % 2 else 1)]
        events += [UpsertNode(id=f"hub-{hub}"), *(UpsertEdge(src=f"hub-{hub}", dst=other) for other in others)]
    right = []
    for rule in (gradient_boosting(), informed_boosting()):
        player = BaselinePlayer(rule)
        player.declare(GraphSchema(classes=("a", "b", "c")))
        player.follow(1, events, [])
        for number in range(200):
            node = f"leaf-{number}"
            player.follow(2 + number, [UpsertNode(id=node), UpsertEdge(src=node, dst=f"hub-{number}")], [node])
            if number < 150:
                player.follow(1000 + number, [LabelNode(id=node, label="b" if number % 2 else "a")], [])
                player.learn()
        found = player.predict([f"leaf-{number}" for number in range(150, 200)]).probabilities.argmax(axis=1)
        right.append(float((found == np.arange(150, 200) % 2).mean()))
    assert right[0] < 0.7
    assert right[1] == 1


def _players() -> dict[str, Callable[[], Player]]:
    config = EngineConfig(trainer=TrainerConfig(students=("sage",), width=8, warmup_steps=1))
    players: dict[str, Callable[[], Player]] = {
        "engine": lambda: EnginePlayer(config, 1, DEVICE),
        "vote": lambda: baseline("vote"),
        "majority": lambda: baseline("majority"),
        "gradient-boosting": lambda: baseline("gradient-boosting"),
        "logistic-regression": lambda: baseline("logistic-regression"),
    }
    if HAS_RIVER:
        players["river"] = lambda: baseline("river:tree.HoeffdingTreeClassifier")
    return players


@pytest.mark.parametrize("name", ["engine", "vote", "majority", "gradient-boosting", "logistic-regression", "river"])
def test_labels_that_come_with_a_node_or_later_change_no_answer(name: str) -> None:
    """The last entry's nodes have other labels in it: the answers are the same to the byte."""
    if name == "river" and not HAS_RIVER:
        pytest.skip("river is not installed")
    batches = tiny_batches(160, delay=0, size=8)
    last = batches[-1]

    def relabelled(event: Event) -> Event:
        if isinstance(event, LabelNode) and str(event.id) in last.nodes:
            return LabelNode(id=event.id, label="a", ts=event.ts)
        return event

    other = replace(last, events=tuple(map(relabelled, last.events)), truths=())
    assert other.events != last.events
    first, second = (played(_players()[name](), [*batches[:-1], end]) for end in (last, other))
    assert np.isfinite(first[-1]).all()
    assert first[-1].tobytes() == second[-1].tobytes()


def _truths(batches: list[Batch]) -> list[str]:
    return [label for batch in batches for _, label in batch.truths]


@pytest.mark.skipif(HAS_RIVER, reason="river is installed")
def test_without_river_one_line_names_it() -> None:
    with pytest.raises(WrongConfiguration, match=r"^river:tree\.X needs river, which is not installed: pip install"):
        baseline("river:tree.X")


@pytest.mark.skipif(not HAS_RIVER, reason="river is not installed")
@pytest.mark.parametrize("name", ["tree.HoeffdingTreeClassifier", "forest.ARFClassifier", "linear_model.Perceptron"])
def test_river_learns(name: str) -> None:
    batches = tiny_batches(200)
    answers = np.concatenate(played(baseline(f"river:{name}"), batches))[100:]
    right = answers.argmax(axis=1) == [CLASSES.index(label) for label in _truths(batches)[100:]]
    assert right.mean() > 0.5


@pytest.mark.parametrize("name", ["nothing", "river", ""])
def test_an_unknown_baseline_is_named(name: str) -> None:
    with pytest.raises(WrongConfiguration, match=f"there is no baseline {name}"):
        baseline(name)
