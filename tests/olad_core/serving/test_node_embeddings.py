"""Embeddings of nodes are what the head of the served student reads, whatever is marked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from olad_core.events import Event
from olad_core.graph import DynamicGraph
from olad_core.graph.part import PartTooLarge
from olad_core.judging.pool_weights import PoolWeights
from olad_core.serving.combination import Combination
from olad_core.serving.embedding import Embedding
from olad_core.serving.node_embeddings import NodeEmbeddings, leading_student, node_embeddings
from olad_core.serving.publication import Version
from olad_core.serving.touched import merge
from olad_core.serving.versions import HeldVersion
from olad_core.students import ARCHITECTURES
from tests.device import DEVICE
from tests.olad_core.runs import PAIR, Run, learned
from tests.olad_core.serving.test_embedding import ATOL, CLASSES, RTOL, student_of
from tests.olad_core.streams import FEATURES, changes, take, two_communities

MOST = 10**6


def held_version(graph: DynamicGraph, architecture: str) -> HeldVersion:
    """A version of one student, embedded on the whole graph."""
    embedding = Embedding.alone(student_of(architecture), CLASSES, DEVICE)
    while not embedding.complete:
        embedding.advance(graph)
    return HeldVersion(Version(1, architecture, ("a", "b")), {architecture: architecture}, "1-0", embedding)


def changed(graph: DynamicGraph, held: HeldVersion, events: Sequence[Event]) -> None:
    held.embedding.mark(graph, merge([graph.apply(events, 0.0)], graph))


def answers_of(held: HeldVersion, found: NodeEmbeddings) -> torch.Tensor:
    """What the head of the student reads from embeddings."""
    names = [*held.members]
    member = held.embedding.members[names.index(found.student)]
    with torch.no_grad():
        outputs = member.student.read(torch.from_numpy(found.vectors).to(DEVICE))
        return member.student.answers(outputs[:, : 1 + member.classes])[:, 1:].cpu()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_head_reads_from_them_what_is_served(architecture: str) -> None:
    graph, stream = DynamicGraph(feature_width=FEATURES), changes(5, nodes=40)
    graph.apply(take(stream, 200), 0.0)
    held = held_version(graph, architecture)
    for _ in range(4):
        changed(graph, held, take(stream, 20))
        rows = np.flatnonzero(graph.alive)
        marked = held.embedding.marks.copy()
        found = node_embeddings(graph, held, graph.ids(rows), MOST)
        np.testing.assert_array_equal(held.embedding.marks, marked)
        assert found.there.all()
        held.embedding.compute(graph, rows)
        np.testing.assert_allclose(answers_of(held, found), held.embedding.probabilities(rows), RTOL, ATOL)


def test_nodes_that_are_not_there_and_nodes_asked_for_twice() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply(two_communities(10), 0.0)
    held = held_version(graph, "sage")
    found = node_embeddings(graph, held, ["7", "nobody", "3", "7"], MOST)
    assert found.there.tolist() == [True, False, True, True]
    assert not found.vectors[1].any()
    np.testing.assert_array_equal(found.vectors[0], found.vectors[3])
    alone = node_embeddings(graph, held, ["3"], MOST)
    np.testing.assert_allclose(found.vectors[2], alone.vectors[0], rtol=1e-6)
    assert node_embeddings(graph, held, ["nobody"], 1).there.tolist() == [False]


def test_as_many_are_embedded_as_may_be_read() -> None:
    graph = DynamicGraph(feature_width=FEATURES)
    graph.apply(two_communities(40), 0.0)
    held = held_version(graph, "gcn")
    nodes = graph.ids(np.flatnonzero(graph.alive))
    least = node_embeddings(graph, held, nodes[:1], MOST).work
    whole = node_embeddings(graph, held, nodes, MOST)
    assert len(whole.there) == len(nodes)
    assert whole.work > least
    some = node_embeddings(graph, held, nodes, whole.work - 1)
    assert 1 <= len(some.there) < len(nodes)
    assert some.work < whole.work
    np.testing.assert_allclose(some.vectors, whole.vectors[: len(some.vectors)], RTOL, ATOL)
    with pytest.raises(PartTooLarge, match=f"{least - 1:,} at most"):
        node_embeddings(graph, held, nodes, least - 1)


def test_of_a_group_they_are_of_the_student_with_the_greatest_exponent() -> None:
    weights = PoolWeights(np.array([0.2, 0.5, 0.9]), 0, np.array([0.4, 0.4, 0.2]))
    assert leading_student(Combination(weights), 2) == 1
    assert leading_student(None, 1) == 0
    run = learned(Run(PAIR))
    held = run.engine.versions.served
    assert held is not None
    found = node_embeddings(run.engine.graph, held, ["1", "2"], MOST)
    assert found.student in held.members
    rows = run.engine.graph.rows(["1", "2"])
    place = [*held.members].index(found.student)
    held.compute(run.engine.graph, rows, run.engine._origin)
    expected = held.embedding.members[place].probabilities(rows)
    np.testing.assert_allclose(answers_of(held, found), expected, RTOL, ATOL)
