"""Lists and embeddings over ranks are those of one partition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from olad_core.events import GraphSchema
from olad_core.graph.part import PartTooLarge
from olad_core.partition import run_in_lockstep
from olad_core.partition.node_embeddings import embed_over_ranks
from olad_core.partition.node_lists import list_part, merged
from olad_core.serving.list_names import ListName
from olad_core.serving.publication import ListedNodes, Version
from olad_core.students import InputShape, Student, build_student
from olad_core.tasks.label_rule import LabelRule
from tests.device import DEVICE
from tests.olad_core.partition.runs import CLASSES, RANKS, Group, group
from tests.olad_core.partition.test_store import TYPES, timed, typed
from tests.olad_core.streams import FEATURES, changes, take

pytestmark = pytest.mark.skipif(DEVICE.type != "cpu", reason="ranks compute on CPUs")

VERSION = Version(1, "gcn", ("class 0", "class 1"), 1)
NODES = [f"n{node}" for node in range(59)] + ["nobody"]
MOST = 100_000


def followed(ranks: int, *students: Student, schema: GraphSchema | None = None) -> Group:
    parts = group(ranks, students, schema)
    events = changes(4)
    parts.apply(take(typed(timed(events, 4), 4) if schema else events, 300))
    return parts


def listed(parts: Group, name: ListName) -> ListedNodes | None:
    changed = np.arange(parts.parts[0].store.arrivals)[::-3]
    found = [list_part(name, part.store, part.answers_of, VERSION, LabelRule(), changed) for part in parts.parts]
    return merged(name, found, VERSION)


@pytest.mark.parametrize(
    "text",
    [
        "top:100:1:class 1",
        "top:100:0:class 0",
        "disagreement:100:1:",
        "arrived:100:1:",
        "changed:100:1:",
        "id:100:1:n1",
    ],
)
def test_a_list_is_that_of_one_partition(text: str) -> None:
    student, name = build_student("gcn", FEATURES, 8, 8, seed=3), ListName.parsed(text)
    alone, *others = (listed(followed(ranks, student), name) for ranks in RANKS)
    assert alone is not None
    assert len(alone.nodes) > 5
    for other in others:
        assert other is not None
        assert other.nodes == alone.nodes
        assert other.labels == alone.labels
        assert other.probabilities.tobytes() == alone.probabilities.tobytes()
        assert other.disagreement.tobytes() == alone.disagreement.tobytes()


def test_lists_are_ordered_by_what_they_are_of() -> None:
    parts = followed(2, build_student("gcn", FEATURES, 8, 8, seed=3))
    ids = [each for part in parts.parts for each in part.answers()[0]]
    top = listed(parts, ListName("top", 100, True, "class 1"))
    assert top is not None
    assert sorted(top.probabilities.tolist(), reverse=True) == top.probabilities.tolist()
    assert len(top.nodes) == len(ids)
    by_id = listed(parts, ListName("id", 100, True, "n2"))
    assert by_id is not None
    assert list(by_id.nodes) == sorted(each for each in ids if each.startswith("n2"))[:100]
    assert listed(parts, ListName("top", 100, True, "class 7")) is None


@pytest.mark.parametrize("architecture", ["gcn", "gat", "sage"])
@pytest.mark.parametrize("types", [False, True])
def test_embeddings_are_those_that_are_served(architecture: str, types: bool) -> None:
    """The head makes of them what is served, whatever the number of ranks."""
    for ranks in RANKS:
        student = build_student(architecture, FEATURES, 8, 8, seed=3)
        if types:
            part = followed(1, schema=TYPES).parts[0]
            student = InputShape.of_graph(part.graph).build(architecture, 8, 8, 3)
        parts = followed(ranks, student, schema=TYPES if types else None)
        works = [embed_over_ranks(part.store, student, [*NODES, "n3"], MOST) for part in parts.parts]
        found = run_in_lockstep(works)
        assert {each.count for each in found} == {len(NODES) + 1}
        places = np.concatenate([each.places for each in found])
        assert len(set(places.tolist())) == len(places) > 30
        for part, each in zip(parts.parts, found, strict=True):
            rows = part.graph.rows([[*NODES, "n3"][place] for place in each.places])
            with torch.no_grad():
                logits = student.classify(torch.from_numpy(each.vectors))[:, :CLASSES]
            shares = (logits / student.temperature).softmax(dim=1).numpy()
            np.testing.assert_allclose(shares, part.answers_of(rows)[:, 1:], atol=1e-5)


def test_fewer_nodes_are_embedded_where_all_would_read_too_much() -> None:
    student = build_student("gcn", FEATURES, 8, 8, seed=3)
    parts = followed(2, student)

    def counts(most: int) -> list[int]:
        return [
            each.count
            for each in run_in_lockstep([embed_over_ranks(part.store, student, NODES, most) for part in parts.parts])
        ]

    assert counts(MOST) == [60, 60]
    fewer = counts(400)
    assert fewer[0] == fewer[1] < 60
    with pytest.raises(PartTooLarge):
        counts(1)
