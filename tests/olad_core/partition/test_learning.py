"""Ranks learn alike: what they draw, lose and decide does not depend on how many there are, but for rounding."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from olad_core.config import Serve, TrainerConfig
from olad_core.events import LabelNode, UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.partition import LearnerState, Partition, join_own, run_in_lockstep
from olad_core.partition.exchange import RanksDiffer
from olad_core.partition.feature_rows import FeatureRows, joined
from olad_core.partition.gradients import sum_gradients, summed
from olad_core.partition.keyed import KeyedDropout, generator
from olad_core.partition.sampling import sample_over_ranks
from olad_core.partition.seeds import LabelHistory
from tests.device import DEVICE
from tests.olad_core.partition.learning import LEARNING, Ranks, beside_group, shared_bytes, stream, vector
from tests.olad_core.partition.runs import RANKS, group
from tests.olad_core.partition.test_store import TYPES, as_dense, timed, typed
from tests.olad_core.streams import changes, take

pytestmark = pytest.mark.skipif(DEVICE.type != "cpu", reason="ranks compute on CPUs")


def drawn(ranks: int, *, types: bool, key: int = 5) -> tuple[set[Any], dict[int, Any], set[Any]]:
    """Edges of the inner layer, inputs and edges of the outer layer of a sample of all nodes, over all ranks."""
    parts = group(ranks, schema=TYPES if types else None)
    events = take(typed(timed(changes(1), 1), 1) if types else changes(1), 300)
    parts.apply(events)
    stores = [part.store for part in parts.parts]
    seeds = [np.flatnonzero(store.owned & (store.number % 2 == 0)) for store in stores]
    width = parts.parts[0].graph.num_features or 0
    works = [sample_over_ranks(store, own, (3, 2), key, width) for store, own in zip(stores, seeds, strict=True)]
    inner: set[Any] = set()
    outer: set[Any] = set()
    inputs: dict[int, Any] = {}
    for found in run_in_lockstep(works):
        sample = found.sample
        for layer, edges in zip(sample.blocks, (outer, inner), strict=True):
            features = np.zeros((len(layer.sources), 0)) if layer.x is None else layer.x.numpy()
            targets, sources = sample.rows[layer.target_of_edge.numpy()], sample.rows[layer.sources.numpy()]
            relation = np.zeros(len(sources), np.int64)
            if layer.by_relation is not None:
                relation = layer.of_types.target_of_edge.numpy() % 3
            for at, weight in enumerate(layer.weight.tolist()):
                edges.add((targets[at], sources[at], relation[at], weight, features[at].tobytes()))
        x, given = as_dense(sample.inputs.x), sample.inputs
        assert given.structure
        for at, number in enumerate(sample.rows.tolist()):
            row = (x[at].tobytes(), int(given.label[at]), given.structure.steps[at].numpy().tobytes())
            assert inputs.setdefault(number, (*row, float(sample.blocks[0].in_weight[at])))[:3] == row
    return inner, inputs, outer


@pytest.mark.parametrize("types", [False, True])
def test_neighbourhoods_and_inputs_are_those_of_one_partition(types: bool) -> None:
    alone = drawn(1, types=types)
    assert all(alone)
    for ranks in RANKS[1:]:
        assert drawn(ranks, types=types) == alone
    assert drawn(1, types=types, key=6) != alone
    # The labels of seeds are hidden, those of other nodes are not.
    labels = {number: row[1] for number, row in alone[1].items()}
    assert all(label == -1 for number, label in labels.items() if number % 2 == 0)
    assert any(label >= 0 for label in labels.values())


def test_every_set_of_neighbours_is_drawn_as_often() -> None:
    part = Partition(0, 1)
    run_in_lockstep([part.apply([UpsertEdge("hub", f"leaf {leaf}") for leaf in range(12)], 0.0)])
    row = part.graph.rows(["hub"])
    counts = np.zeros(13)
    for key in range(2000):
        [found] = run_in_lockstep([sample_over_ranks(part.store, row, (3,), key, 0)])
        numbers = found.sample.rows[1:]
        assert numbers.size == 3
        np.testing.assert_allclose(found.sample.blocks[0].weight.numpy(), 4.0)
        counts[numbers] += 1
    leaves = counts[counts > 0]
    assert leaves.size == 12
    # Each is in a quarter of the sets: 500, with a standard deviation of 19.
    assert abs(leaves - 500).max() < 100


@pytest.mark.parametrize("asked", [{}, {"measures_teaching": True}, {"local_weight": 0.1}])
def test_losses_over_fifty_steps_are_those_of_one_partition(asked: dict[str, Any]) -> None:
    """With dropout of all kinds and teaching; at each step all ranks have the same weights, to the byte."""
    config = replace(LEARNING, trainer=replace(LEARNING.trainer, warmup_steps=4, min_confidence=0.0, **asked))
    every = [Ranks(ranks, config) for ranks in RANKS]
    losses: list[list[dict[str, np.ndarray[Any, Any]]]] = []
    for ranks in every:
        events = stream(3)
        own = []
        for _ in range(10):
            ranks.apply(take(events, 40))
            for _ in range(6):
                ranks.learn(1)
                own.append(dict(ranks.first.assessment.mean_losses))
                assert len(ranks.weights()) == 1
        losses.append(own)
    alone, *others = losses
    assert every[0].first.steps >= 50
    expected = {"supervised", "global", "disagreement"}
    assert set(alone[-1]) == expected | ({"discriminator", "local"} if "local_weight" in asked else set())
    for other in others:
        for here, there in zip(alone[:50], other[:50], strict=True):
            for name, term in here.items():
                np.testing.assert_allclose(there[name], term, rtol=0, atol=1e-5)
    for ranks in every[1:]:
        assert (ranks.traffic.size.get("gradients of embeddings", 0) > 0) == ("local_weight" in asked)
        torch.testing.assert_close(beside_group(ranks), beside_group(every[0]), rtol=0, atol=1e-4)
    worth = [ranks.first.assessment.worth for ranks in every]
    if "measures_teaching" in asked:
        assert all(each and each.weight > 20 for each in worth)
        scores = [each.scores() for each in worth if each]
        assert scores[0][0] != scores[0][1]
        np.testing.assert_allclose(scores[1:], [scores[0]] * 2, rtol=0, atol=1e-4)
    else:
        assert worth == [None] * 3


def test_the_same_number_of_ranks_twice_gives_the_same_bytes() -> None:
    one, other = Ranks(2), Ranks(2)
    for ranks in (one, other):
        ranks.play(stream(1), batches=8, steps=4)
    assert one.weights() == other.weights()
    assert len(one.weights()) == 1
    assert one.served() == other.served()
    assert one.first.served


def restored(before: Ranks, ranks: int, batches: int, seed: int) -> Ranks:
    """Ranks on the graph after some batches, with the state of others."""
    new, events = Ranks(ranks, before.first.config), stream(seed)
    for _ in range(batches):
        new.apply(take(events, 40), learning=False)
    states = [each.state() for each in before.learners]
    same = ranks == len(before.parts)
    for rank, each in enumerate(new.learners):
        own = states[rank].own if same else join_own(state.own for state in states)
        each.load_state(LearnerState(states[0].tensors, states[0].values, own))
    run_in_lockstep([each.resume(7) for each in new.learners])
    return new


@pytest.mark.parametrize("steps", [3, 5])
def test_a_restored_state_continues_with_the_same_bytes(steps: int) -> None:
    """Also where a version was on its way, and with twins and discriminators."""
    events = stream(2)
    beside: dict[str, Any] = {"measures_teaching": True, "local_weight": 0.1, "warmup_steps": 2} if steps == 5 else {}
    straight = Ranks(2, replace(LEARNING, trainer=replace(LEARNING.trainer, **beside)))
    straight.play(events, batches=5, steps=steps)
    again = restored(straight, 2, 5, 2)
    assert again.weights() == straight.weights()
    assert again.served() == straight.served()
    under_way = set()
    for _ in range(4):
        batch = take(events, 40)
        for ranks in (straight, again):
            ranks.apply(batch)
            ranks.learn(steps)
            under_way.add(ranks.first.is_embedding)
        assert again.weights() == straight.weights()
        assert again.served() == straight.served()
    assert straight.first.assessment.scored() > 20
    assert True in under_way


def test_a_state_continues_with_another_number_of_ranks() -> None:
    events = stream(4)
    straight = Ranks(2)
    straight.play(events, batches=5, steps=4)
    others = [restored(straight, ranks, 5, 4) for ranks in (1, 4)]
    for other in others:
        assert other.served() == straight.served()
    batch = take(events, 40)
    for ranks in (straight, *others):
        ranks.apply(batch)
        for _ in range(3):
            run_in_lockstep([each.step() for each in ranks.learners])
    for other in others:
        torch.testing.assert_close(vector(other), vector(straight), rtol=0, atol=1e-4)


@pytest.mark.parametrize("serve", ["best", "group"])
def test_a_version_embedded_in_slices_is_what_a_followed_one_is(serve: Serve) -> None:
    """While it is embedded the graph changes; then its bytes are those of weights that were there from the start."""
    ranks, events, batches = Ranks(2, replace(LEARNING, serve=serve)), stream(6), []
    for _ in range(25):
        batches.append(take(events, 15))
        ranks.apply(batches[-1])
    while not ranks.first.is_embedding:
        run_in_lockstep([each.step() for each in ranks.learners])
    while ranks.first.is_embedding:
        batches.append(take(events, 15))
        ranks.apply(batches[-1])
        run_in_lockstep([each.embed(12) for each in ranks.learners])
    ranks.switch()
    assert len(batches) > 33, "the graph did not change meanwhile"
    held = ranks.first._versions.served
    assert held
    assert held.version.student == "group" if serve == "group" else held.version.student in held.students
    followed = group(2, held.weights.students)
    for number, batch in enumerate(batches):
        followed.apply(batch, float(number + 1))
    for place in range(len(held.students)):
        for part, each, other in zip(ranks.parts, ranks.learners, followed.parts, strict=True):
            rows, now = np.flatnonzero(part.store.owned), each._versions.served
            assert now
            ids, expected = other.answers(place)
            assert part.graph.ids(rows) == ids
            assert now.filling.members[place].answers(rows).tobytes() == expected.tobytes()


def test_what_is_served_of_the_group_does_not_depend_on_the_number_of_ranks() -> None:
    events = stream(9)
    straight = Ranks(1, replace(LEARNING, serve="group"))
    straight.play(events, batches=5, steps=5)
    assert straight.first.served
    assert straight.first.served.student == "group"
    for ranks in RANKS[1:]:
        assert restored(straight, ranks, 5, 9).served() == straight.served()


def test_the_group_learns_and_its_best_student_is_served() -> None:
    ranks = Ranks(2)
    ranks.play(stream(5, nodes=400), batches=24, steps=6, size=40)
    first = ranks.first
    assert first.assessment.served_score().recent_accuracy[0] > 0.8
    kinds = {decision.kind for decision in first.decisions.since(0)}
    assert "first-version" in kinds
    assert ranks.traffic.size["gradients"] > 0


def test_drift_is_found_by_all_ranks() -> None:
    config = replace(LEARNING, drift_delta=0.2)
    ranks = Ranks(2, config)
    events = stream(7, nodes=150)
    ranks.play(events, batches=12, steps=5)
    swapped = ("odd", "even")
    for first in range(0, 400, 20):
        nodes = [UpsertNode(f"new {node}", [3.0 if node % 2 else -3.0, 0, 0]) for node in range(first, first + 20)]
        ranks.apply(nodes)
        ranks.apply([LabelNode(f"new {node}", swapped[node % 2]) for node in range(first, first + 20)])
        ranks.learn(1)
    assert any(decision.kind == "drift" for decision in ranks.first.decisions.since(0))
    assert len(ranks.weights()) == 1


def test_ranks_rest_when_nothing_is_left_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olad_core.learning.convergence.MOST_STEPS", 30)
    ranks = Ranks(2)
    ranks.play(stream(8), batches=3, steps=0)
    assert not ranks.first.resting
    ranks.learn(60)
    assert ranks.first.resting
    assert run_in_lockstep([each.step() for each in ranks.learners]) == [False, False]
    assert ranks.first.steps == 30
    ranks.apply([UpsertNode("another", [0.0, 0.0, 0.0])])
    assert ranks.first.can_learn


def test_features_that_appear_later_begin_a_new_group() -> None:
    ranks = Ranks(2)
    ranks.apply([UpsertNode(str(node), None, ("even", "odd")[node % 2]) for node in range(30)])
    ranks.learn(5)
    steps = ranks.first.steps
    assert steps == 5
    ranks.apply([UpsertNode(str(node), [float(node % 2), 1.0, 0.0]) for node in range(40)])
    ranks.learn(12, rows=64)
    assert ranks.first.steps == 12
    assert "group-restarted" in {decision.kind for decision in ranks.first.decisions.since(0)}
    assert len(ranks.weights()) == 1


def test_a_graph_with_types_and_features_of_edges() -> None:
    """Labels of removed and retyped nodes come and go; losses agree."""
    losses = []
    for count in RANKS[:2]:
        ranks, events = Ranks(count, schema=TYPES), typed(timed(changes(3), 3), 3)
        own = []
        for _ in range(6):
            ranks.apply(take(events, 60))
            ranks.learn(2)
            own.append(float(ranks.first.assessment.training_loss().mean()))
        assert len(ranks.weights()) == 1
        losses.append(own)
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-5)
    assert losses[0][-1] > 0


class TestLabelHistory:
    def test_entries_without_a_node_are_swept_out_at_all_ranks(self) -> None:
        alone, several = Ranks(1), Ranks(4)
        for ranks in (alone, several):
            labels = [UpsertNode(str(node), None, ("even", "odd")[node % 2]) for node in range(60)]
            ranks.apply(labels)
            for _ in range(4):  # labelled again, later
                ranks.apply(labels[:50])
            assert ranks.first._history.total == 260
            ranks.learn(1)
            assert ranks.first._history.total == 60
            assert len(ranks.weights()) == 1
        places = np.arange(60)
        found = [
            each._history.own_rows(places, part.store)
            for each, part in zip(several.learners, several.parts, strict=True)
        ]
        assert sum(map(len, found)) == 60
        assert min(map(len, found)) > 0

    def test_half_of_what_is_drawn_is_of_the_latest(self) -> None:
        history = LabelHistory(100)
        history.total, history._latest = 5000, 100
        places = history.draw(80, generator(1))
        assert 35 <= np.count_nonzero(places >= 4900) <= 50
        history.shorten(10)
        # The fewer there are since a drift, the more of them are drawn.
        places = history.draw(80, generator(1))
        assert np.count_nonzero(places >= 4990) == 10


class TestKeyedDropout:
    def test_a_row_of_a_mask_depends_on_its_node_alone(self) -> None:
        config = TrainerConfig()
        one, other = KeyedDropout(config), KeyedDropout(config)
        one.begin(3, np.arange(1000))
        other.begin(3, np.arange(500, 800))
        first, second = one.entries(torch.ones(1000, 10)), other.entries(torch.ones(300, 10))
        assert torch.equal(first[500:800], second)
        assert not torch.equal(one.entries(torch.ones(1000, 10)), first), "another layer has another mask"

    def test_shares_are_those_of_the_configuration(self) -> None:
        config = TrainerConfig(hidden_dropout=0.3, label_dropout=0.4, feature_dropout=0.25)
        dropout = KeyedDropout(config)
        dropout.begin(7, np.arange(20_000))
        mask = dropout.entries(torch.ones(20_000, 6))
        assert abs((mask == 0).float().mean(dim=0) - 0.3).max() < 0.02
        assert abs(mask.mean() - 1) < 0.01
        assert abs((dropout.labels(torch.zeros(20_000, dtype=torch.int64)) < 0).float().mean() - 0.4) < 0.02
        columns = dropout.columns(20_000)
        assert columns is not None
        assert abs((columns == 0).float().mean() - 0.25) < 0.02
        pairs = torch.stack([mask[:, at] == 0 for at in range(6)]).float()
        assert all(abs(float((a * b).mean()) - 0.09) < 0.01 for a, b in pairwise(pairs))


class TestSums:
    def test_all_ranks_have_the_same_sum_however_the_values_are_divided(self) -> None:
        draw = np.random.default_rng(0)
        for ranks in (1, 2, 3, 4):
            values = draw.normal(size=(ranks, 10)).astype(np.float32)
            found = run_in_lockstep([summed(values[rank], rank, ranks, "values") for rank in range(ranks)])
            assert len({each.tobytes() for each in found}) == 1
            np.testing.assert_allclose(found[0], values.sum(axis=0), atol=1e-6)

    def test_a_weight_without_a_gradient_at_any_rank_has_none(self) -> None:
        weights = [[torch.nn.Parameter(torch.zeros(2)) for _ in range(3)] for _ in range(2)]
        weights[0][0].grad = torch.ones(2)
        weights[1][1].grad = torch.full((2,), 2.0)
        works = [sum_gradients(own, torch.tensor([float(rank)]), rank, 2) for rank, own in enumerate(weights)]
        assert [float(each) for each in run_in_lockstep(works)] == [1.0, 1.0]
        for own in weights:
            assert own[0].grad is not None
            assert own[1].grad is not None
            assert own[0].grad.tolist() == [1.0, 1.0]
            assert own[1].grad.tolist() == [2.0, 2.0]
            assert own[2].grad is None


def test_ranks_with_other_weights_end() -> None:
    ranks = Ranks(4)
    ranks.play(stream(1), batches=3, steps=1)
    trainer = ranks.learners[2].trainer
    assert trainer
    with torch.no_grad():
        trainer.group.students[1].head.bias[0] += 1e-7
    with pytest.raises(RanksDiffer, match=r"rank 0 and ranks \[2\] have other weights"):
        ranks.learn(1)


@pytest.mark.parametrize("seed", range(3))
def test_owned_nodes_are_found_by_their_numbers(seed: int) -> None:
    parts, events = group(2), changes(seed)
    for size in (200, 30, 0, 300, 200):
        parts.apply(take(events, size))
        for part in parts.parts:
            store = part.store
            rows = np.flatnonzero(store.owned)
            expected = np.full(store.arrivals + 5, -1)
            expected[store.number[rows]] = rows
            numbers = np.random.default_rng(seed).permutation(expected.size)
            assert store.own_rows(numbers).tolist() == expected[numbers].tolist()
            assert store.lowest() == store.number[rows].min()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_features_arrive_as_they_were_sent(share: float) -> None:
    draw = np.random.default_rng(1)
    dense = np.where(draw.random((40, 30)) < share, draw.normal(size=(40, 30)), 0).astype(np.float32)
    dense[::7] = 0
    graph = DynamicGraph()
    graph.apply([UpsertNode(str(node), x) for node, x in enumerate(dense.tolist())], 0.0)
    rows = draw.permutation(graph.rows(map(str, range(40))))
    sent = [FeatureRows.of(graph, part, 30) for part in (rows[:13], rows[13:13], rows[13:])]
    read = [FeatureRows.read(each.words(), each.lengths, 30) for each in sent]
    places = [np.arange(27, 40), np.arange(0), np.arange(27)]
    found = as_dense(joined(read, places).features(typed=False))
    np.testing.assert_array_equal(found, dense[np.concatenate([rows[13:], rows[:13]])])
    # Entries take two words, so no row takes more than its features.
    assert sum(each.words().size for each in sent) <= min(dense.size, 2 * int((dense != 0).sum()))


def test_the_state_is_of_plain_values() -> None:
    ranks = Ranks(2)
    ranks.play(stream(1), batches=3, steps=3)
    state = ranks.first.state()
    assert json.loads(json.dumps(state.values)) == state.values
    assert shared_bytes(state) == shared_bytes(ranks.learners[1].state())
