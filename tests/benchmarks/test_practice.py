"""What a practitioner would do instead, on the benchmark's streams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from benchmarks.learning.fraud import fraud
from benchmarks.learning.learners import Learner
from benchmarks.learning.methods import METHODS, PRACTICE
from benchmarks.learning.plain_gcn import PlainGCN, Snapshot
from benchmarks.learning.run import Run, play
from benchmarks.learning.scores import scores
from benchmarks.learning.stream import Stream, Turn
from benchmarks.learning.useless_graph import useless_graph
from olad_core.config import EngineConfig
from olad_core.events import GraphSchema, LabelNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from tests.device import DEVICE
from tests.olad_core.streams import two_communities


def served(name: str, stream: Stream) -> dict[str, float]:
    learner: Learner = METHODS[name].build(EngineConfig(), DEVICE)
    learner.declare(stream.schema)
    truth, said = [], []
    for number, turn in enumerate(stream.turns(), start=1):
        learner.apply(number, turn)
        if turn.asked:
            said.append(learner.predict([node for node, _ in turn.asked])["served"])
            truth += [stream.schema.classes.index(label) for _, label in turn.asked]
        learner.learn(1, 1.0)
    return scores(np.concatenate(said)[stream.score_from :], np.array(truth[stream.score_from :]), ranked=1)


def test_trees_read_a_table() -> None:
    assert served("trees", useless_graph(0, 1500))["accuracy"] > 0.4


def test_only_trees_with_that_column_find_the_fraud() -> None:
    # 3,000 accounts are there before the first payment.
    plain, informed = (served(name, fraud(0, 3000))["average_precision"] for name in ("trees", "trees-degree"))
    assert informed > plain + 0.3


@pytest.mark.parametrize("name", ["trees", "regression", "retrained"])
def test_nothing_later_than_a_question_reaches_its_answer(name: str) -> None:
    """All that comes after turn 30 is another, and the answers up to there are the same to the byte."""
    whole, other = useless_graph(0, 2000), useless_graph(1, 2000)

    def turns() -> Iterator[Turn]:
        for number, (one, instead) in enumerate(zip(whole.turns(), other.turns(), strict=False)):
            yield one if number < 30 else instead

    answers = []
    for played in (whole.turns(), turns()):
        learner = METHODS[name].build(EngineConfig(), DEVICE)
        learner.declare(whole.schema)
        said = []
        for number, turn in enumerate(played):
            learner.apply(number + 1, turn)
            if number < 30:
                said.append(learner.predict([node for node, _ in turn.asked])["served"])
                learner.learn(1, 1.0)
        answers.append(np.concatenate(said))
    assert np.isfinite(answers[0][200:]).all()
    assert answers[0].tobytes() == answers[1].tobytes()


def test_a_snapshot_is_the_normalised_graph_of_its_authors() -> None:
    graph = DynamicGraph()
    nodes = [UpsertNode(str(number), [float(number), 3.0]) for number in range(4)]
    links = [UpsertEdge("0", "1"), UpsertEdge("1", "2"), UpsertEdge("0", "2")]
    graph.apply([*nodes, *links, LabelNode("1", "red")], 0.0)
    found = Snapshot.of(graph)
    joined = np.eye(4)
    for src, dst in ((0, 1), (1, 2), (0, 2)):
        joined[src, dst] = joined[dst, src] = 1
    root = np.diag(joined.sum(axis=1) ** -0.5)
    np.testing.assert_allclose(found.adjacency.to_dense().numpy(), root @ joined @ root, atol=1e-6)
    np.testing.assert_allclose(found.x.sum(dim=1).numpy(), 1, atol=1e-6)
    assert found.label.tolist() == [-1, 0, -1, -1]


def test_a_plain_gcn_learns_and_repeats() -> None:
    graph = DynamicGraph()
    graph.declare(GraphSchema(feature_width=3, classes=("even", "odd")))
    graph.apply(two_communities(60), 0.0)
    found = Snapshot.of(graph)
    answers = []
    for seed in (1, 1, 2):
        network = PlainGCN(3, 8, 2, seed)
        network.train_epochs(found, 60)
        answers.append(network.probabilities(found))
    assert answers[0].tobytes() == answers[1].tobytes() != answers[2].tobytes()
    known = found.label >= 0
    right = torch.from_numpy(answers[0].argmax(axis=1))[known] == found.label[known]
    assert right.float().mean() > 0.9


def test_plain_networks_take_their_own_steps_or_those_of_the_others() -> None:
    for name, steps in (("plain-gcn", 200), ("plain-gcn-equal", 6)):
        learner = METHODS[name].build(EngineConfig(), DEVICE)
        learner.declare(GraphSchema(feature_width=3, classes=("even", "odd")))
        learner.apply(1, Turn((*two_communities(40), UpsertNode("new", [1.0, 0.0, 0.0]))))
        learner.learn(2, 1.0)
        first = learner.predict(["new"])
        learner.learn(4, 1.0)
        second = learner.predict(["new"])
        assert learner.steps == steps
        assert (first["gcn-1"].tobytes() == second["gcn-1"].tobytes()) == (name == "plain-gcn")
        assert set(second) == {"served", "ensemble", "gcn-1", "gcn-2", "gcn-3", "gcn-4"}


@pytest.mark.parametrize("name", [name for name in PRACTICE if name != "river-forest"])
def test_each_is_a_run_like_others(name: str) -> None:
    line = play(Run("fraud", name, seed=0, steps=1, size=900))
    predictors = line["predictors"]
    assert isinstance(predictors, dict)
    assert "average_precision" in predictors["served"]
