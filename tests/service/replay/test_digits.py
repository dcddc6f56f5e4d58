from __future__ import annotations

import numpy as np

from service.replay.digits import NEIGHBOURS, digits_graph


def test_every_image_is_joined_to_its_nearest_ones() -> None:
    graph = digits_graph()
    assert isinstance(graph.features, np.ndarray)
    assert graph.features.shape == (1797, 64)
    assert (graph.features.min(), graph.features.max()) == (0, 1)
    assert graph.classes == tuple("0123456789")
    distance = ((graph.features[7] - graph.features) ** 2).sum(axis=1)
    nearest = set(np.argsort(distance)[1 : NEIGHBOURS + 1].tolist())
    joined = {int(a + b - 7) for a, b in graph.edges.T if 7 in {a, b}}
    assert nearest <= joined


def test_edges_stand_once_and_join_mostly_the_same_class() -> None:
    graph = digits_graph()
    src, dst = graph.edges
    assert (src < dst).all()
    assert len({(int(a), int(b)) for a, b in graph.edges.T}) == graph.edges.shape[1]
    assert (graph.labels[src] == graph.labels[dst]).mean() > 0.9
