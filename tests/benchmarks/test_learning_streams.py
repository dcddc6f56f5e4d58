"""The streams of the learning benchmark: each shows what its file states, and is the same for a seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import average_precision_score
from sklearn.tree import DecisionTreeClassifier

from benchmarks.learning.fraud import fraud
from benchmarks.learning.generated import generated
from benchmarks.learning.heterophilous import CLASSES as RING
from benchmarks.learning.heterophilous import heterophilous
from benchmarks.learning.many_classes import many_classes
from benchmarks.learning.stream import Stream, data_home
from benchmarks.learning.streams import STREAMS
from benchmarks.learning.useless_features import useless_features
from benchmarks.learning.useless_graph import useless_graph
from benchmarks.learning.wrong_labels import wrong_labels
from olad_core.events import LabelNode, UpsertEdge, UpsertNode

GENERATED = (
    *("sudden", "gradual", "featureless", "skewed", "heterophilous", "many-classes", "wrong-labels"),
    *("useless-graph", "useless-features", "fraud"),
)


@dataclass(frozen=True)
class Seen:
    """What a stream holds: features, true classes, labels and edges by node."""

    x: dict[str, npt.NDArray[np.float64]]
    truth: dict[str, str]
    told: dict[str, str]
    edges: list[tuple[str, str]]


def seen(stream: Stream) -> Seen:
    found = Seen({}, {}, {}, [])
    for turn in stream.turns():
        for event in turn.events:
            match event:
                case UpsertNode(id=node, x=list(values)):
                    found.x[str(node)] = np.array(values)
                case UpsertEdge(src=src, dst=dst):
                    found.edges.append((str(src), str(dst)))
                case LabelNode(id=node, label=label):
                    found.told[str(node)] = str(label)
        found.truth.update(turn.asked)
    return found


def number(name: str) -> int:
    return int(name.rpartition("-")[2])


def alike(found: Seen) -> float:
    """Share of the edges between nodes of one class."""
    return float(np.mean([found.truth[src] == found.truth[dst] for src, dst in found.edges]))


def table(found: Seen) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    return np.stack([found.x[node] for node in found.truth]), np.array(list(found.truth.values()))


@pytest.mark.parametrize("name", GENERATED)
def test_a_seed_gives_the_same_stream_and_another_seed_another(name: str) -> None:
    build = STREAMS[name].build
    assert list(build(3, 200).turns()) == list(build(3, 200).turns())
    assert list(build(3, 200).turns()) != list(build(4, 200).turns())


@pytest.mark.parametrize("name", [*GENERATED, "actor"])
def test_every_node_is_asked_in_the_turn_of_its_arrival_and_labelled_later(name: str) -> None:
    if name == "actor" and not (data_home() / "actor.npz").is_file():
        pytest.skip("actor.npz is not here")
    stream = STREAMS[name].build(0, 900)
    asked: dict[str, int] = {}
    for turn_number, turn in enumerate(stream.turns()):
        here = {str(event.id) for event in turn.events if isinstance(event, UpsertNode)}
        assert here >= {node for node, _ in turn.asked}
        assert not asked.keys() & {node for node, _ in turn.asked}
        assert {label for _, label in turn.asked} <= set(stream.schema.classes)
        asked |= {node: turn_number for node, _ in turn.asked}
        for event in turn.events:
            if isinstance(event, LabelNode):
                assert asked[str(event.id)] < turn_number
    assert len(asked) == 900


def test_a_share_is_labelled_late() -> None:
    asked_in: dict[str, int] = {}
    labelled: dict[str, int] = {}
    for turn_number, turn in enumerate(generated(0, 1000, share=0.3, delay=100, batch=50).turns()):
        asked_in |= {node: turn_number for node, _ in turn.asked}
        labelled |= {str(event.id): turn_number for event in turn.events if isinstance(event, LabelNode)}
    assert 0.2 < len(labelled) / 900 < 0.4
    assert all(turn_number == asked_in[node] + 2 for node, turn_number in labelled.items())


def test_class_means_jump_when_it_is_said() -> None:
    means: list[list[list[float]]] = [[], [], []]
    for turn in generated(0, 1500, share=1.0, distance=5.0).turns():
        truth = dict(turn.asked)
        for event in turn.events:
            if isinstance(event, UpsertNode) and isinstance(event.x, list) and truth[str(event.id)] == "class-0":
                means[int(event.id) // 500].append(event.x)
    parts = [np.array(part) for part in means]
    inside = [np.linalg.norm(part[: len(part) // 2].mean(0) - part[len(part) // 2 :].mean(0)) for part in parts]
    across = [np.linalg.norm(parts[k].mean(0) - parts[k + 1].mean(0)) for k in (0, 1)]
    assert max(inside) < 1.5
    assert min(across) > 3


def test_neighbours_on_the_ring_are_of_other_classes() -> None:
    found = seen(heterophilous(0, 1500))
    steps = Counter((number(found.truth[src]) - number(found.truth[dst])) % RING for src, dst in found.edges)
    assert steps[0] / len(found.edges) < 0.1
    assert (steps[1] + steps[RING - 1]) / len(found.edges) > 0.75


def test_thirty_classes_link_to_their_own() -> None:
    found = seen(many_classes(0, 2000))
    assert len(set(found.truth.values())) == 30
    assert 0.6 < alike(found) < 0.8


def test_three_in_ten_labels_are_wrong_and_questions_are_not() -> None:
    found = seen(wrong_labels(0, 3000))
    wrong = np.mean([label != found.truth[node] for node, label in found.told.items()])
    assert 0.25 < wrong < 0.35
    assert 0.65 < alike(found) < 0.85


def test_of_the_useless_graph_only_the_table_shows_the_class() -> None:
    found = seen(useless_graph(0, 3000))
    x, truth = table(found)
    by_chance = sum((count / len(truth)) ** 2 for count in Counter(truth.tolist()).values())
    assert abs(alike(found) - by_chance) < 0.02
    tree = DecisionTreeClassifier(min_samples_leaf=20, random_state=0).fit(x[:2000], truth[:2000])
    assert tree.score(x[2000:], truth[2000:]) > 0.55


def test_of_useless_features_none_shows_the_class() -> None:
    found = seen(useless_features(0, 3000))
    x, truth = table(found)
    tree = DecisionTreeClassifier(min_samples_leaf=20, random_state=0).fit(x[:2000], truth[:2000])
    assert tree.score(x[2000:], truth[2000:]) < 0.3
    assert alike(found) > 0.8


def test_only_the_degree_of_the_accounts_shows_fraud() -> None:
    found = seen(fraud(0, 4000))
    is_fraud = np.array([label == "fraud" for label in found.truth.values()])
    assert 0.013 < is_fraud.mean() < 0.027
    degree = Counter(end for edge in found.edges for end in edge)
    ends: dict[str, list[str]] = {}
    for src, dst in found.edges:
        ends.setdefault(src, []).append(dst)
    least = np.array([min(degree[account] for account in ends[payment]) for payment in found.truth])
    assert average_precision_score(is_fraud, least) > 0.7
    # Payments at the same accounts are mostly honest ones: their labels show little.
    at: dict[str, list[str]] = {}
    for payment in found.truth:
        for account in ends[payment]:
            at.setdefault(account, []).append(payment)
    others = [[other for end in ends[payment] for other in at[end] if other != payment] for payment in found.truth]
    counts = [(sum(found.truth[other] == "fraud" for other in near), max(1, len(near))) for near in others]
    around = [hits / of for hits, of in counts]
    assert average_precision_score(is_fraud, np.array(around)) < 0.3
    x, _ = table(found)
    assert max(average_precision_score(is_fraud, column) for column in (*x.T, *-x.T)) < 0.1
