from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from olad_core.events import UpsertEdge, UpsertNode
from olad_core.graph import DynamicGraph
from olad_core.messages.aggregate import aggregate
from olad_core.messages.sample import Sample, features, sample
from olad_core.students import build_student
from tests.olad_core.blocks import block_of, inputs_of
from tests.olad_core.streams import FEATURES, changes, graph_of, take

CPU = torch.device("cpu")


@pytest.fixture
def graph() -> DynamicGraph:
    return graph_of(take(changes(seed=1, nodes=30), 400))


def seeds_of(graph: DynamicGraph, count: int = 8) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(graph.alive)[:count][::-1].copy()


def dense(found: Sample) -> Tensor:
    assert isinstance(found.inputs.x, Tensor)
    return found.inputs.x


def drawn(graph: DynamicGraph, fanouts: tuple[int, ...], seed: int = 0) -> Sample:
    return sample(graph, seeds_of(graph), fanouts, FEATURES, np.random.default_rng(seed), CPU)


def test_seeds_come_first_in_the_order_they_were_given(graph: DynamicGraph) -> None:
    found = drawn(graph, (3, 2))
    seeds = seeds_of(graph)
    np.testing.assert_array_equal(dense(found)[: len(seeds)], graph.features.dense(seeds))
    first, last = found.blocks
    assert last.targets.tolist() == list(range(len(seeds)))
    assert first.targets.tolist() == list(range(first.num_targets))
    # Rows of the middle layer are the targets of the first block, and the sources of the last.
    assert last.sources.max() < first.num_targets
    assert first.sources.max() < len(dense(found))


def test_no_target_has_more_neighbours_than_its_layers_fanout(graph: DynamicGraph) -> None:
    found = drawn(graph, (3, 2))
    degrees = graph.in_degree(seeds_of(graph))
    assert degrees.max() > 3
    assert found.blocks[1].offsets.diff().tolist() == np.minimum(degrees, 2).tolist()
    assert found.blocks[0].offsets.diff().max() == 3


def test_in_weights_are_those_of_the_whole_graph(graph: DynamicGraph) -> None:
    for block in drawn(graph, (2, 2)).blocks[1:]:
        expected = graph.in_weight_of(seeds_of(graph))
        torch.testing.assert_close(block.in_weight[block.targets], torch.from_numpy(expected).float())


@pytest.mark.parametrize("architecture", ["gcn", "sage", "gat", "evolvegcn"])
def test_without_leaving_anyone_out_a_student_says_what_it_says_on_the_whole_graph(
    graph: DynamicGraph, architecture: str
) -> None:
    student = build_student(architecture, FEATURES, 8, 2, seed=0)
    found = drawn(graph, (1000, 1000))
    source, target, weight = graph.edge_index()
    adjacency = torch.zeros(graph.capacity, graph.capacity)
    adjacency[target, source] = torch.from_numpy(weight)
    with torch.no_grad():
        logits, _ = student(found.inputs, found.blocks)
        labels = graph.label.astype(np.int64)
        labels[seeds_of(graph)] = -1
        whole, _ = student(
            inputs_of(torch.from_numpy(graph.features.dense(np.arange(graph.capacity))), labels.tolist()),
            [block_of(adjacency)] * 2,
        )
    torch.testing.assert_close(logits, whole[seeds_of(graph)])


def test_labels_are_told_but_for_those_of_the_seeds(graph: DynamicGraph) -> None:
    found = drawn(graph, (1000, 1000))
    seeds = len(seeds_of(graph))
    assert (graph.label[found.rows[:seeds]] >= 0).any()
    assert (found.inputs.label[:seeds] == -1).all()
    assert found.inputs.label[seeds:].tolist() == graph.label[found.rows[seeds:]].tolist()


def test_sums_over_a_sample_are_unbiased(graph: DynamicGraph) -> None:
    seeds = seeds_of(graph)
    random = np.random.default_rng(4)
    source, target, weight = graph.edge_index()
    exact = np.zeros((graph.capacity, FEATURES))
    np.add.at(exact, target, weight[:, None] * graph.features.dense(source))
    draws = []
    for _ in range(600):
        found = sample(graph, seeds, (2,), FEATURES, random, CPU)
        draws.append(aggregate(dense(found), found.blocks[0].weight, found.blocks[0]).numpy())
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert error.max() > 0.1  # there is something to average out
    assert (np.abs(np.mean(draws, axis=0) - exact[seeds]) <= 5 * error + 1e-4).all()


def test_the_random_source_decides_the_sample(graph: DynamicGraph) -> None:
    def sources(seed: int) -> list[int]:
        return drawn(graph, (2, 2), seed).blocks[0].sources.tolist()

    assert sources(1) == sources(1)
    assert len({tuple(sources(seed)) for seed in range(8)}) > 1


def test_among_seeds_are_the_sampled_edges_between_them(graph: DynamicGraph) -> None:
    found = drawn(graph, (1000, 1000))
    seeds = seeds_of(graph)
    source, target, weight = graph.edge_index()
    place = {row: number for number, row in enumerate(seeds.tolist())}
    expected = {
        (place[t], place[s]): w
        for s, t, w in zip(source.tolist(), target.tolist(), weight.tolist(), strict=True)
        if s in place and t in place
    }
    among = found.among_seeds()
    edges = zip(among.target_of_edge.tolist(), among.sources.tolist(), strict=True)
    assert expected
    total = Counter[int]()
    for (t, _), w in expected.items():
        total[t] += w
    means = {(t, s): w / total[t] for (t, s), w in expected.items()}
    assert dict(zip(edges, among.weight.tolist(), strict=True)) == pytest.approx(means)


def test_seeds_without_neighbours_are_fine() -> None:
    graph = graph_of([UpsertNode("a", [1.0, 2.0, 3.0]), UpsertNode("b")])
    found = sample(graph, np.array([1, 0]), (4, 4), FEATURES, np.random.default_rng(0), CPU)
    assert dense(found).tolist() == [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]
    assert [len(block.sources) for block in found.blocks] == [0, 0]
    assert found.among_seeds().offsets.tolist() == [0, 0, 0]


def test_enormous_weights_stay_finite() -> None:
    graph = graph_of([UpsertEdge(str(number), "hub", 3e38) for number in range(9)])
    hub = graph.rows(["hub"])
    (block,) = sample(graph, hub, (2,), 0, np.random.default_rng(0), CPU).blocks
    for values in (block.weight, block.in_weight):
        assert values.isfinite().all()


def test_students_that_know_no_features_see_one_column_of_zeros(graph: DynamicGraph) -> None:
    found = features(graph, np.array([0, 1]), 0, CPU)
    assert isinstance(found, Tensor)
    assert found.tolist() == [[0.0], [0.0]]
