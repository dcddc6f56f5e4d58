"""A generated stream whose drift is known: classes that link to each other, with features around class means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.learning.citations import some_labelled
from benchmarks.learning.stream import Stream, Turn
from olad_core.events import GraphSchema, UpsertEdge, UpsertNode
from service.replay.arrival_stream import Arrival, batched
from service.replay.label_delay import delay_labels

Drift = Literal["sudden", "gradual", "links"]
FEATURES = 16
LINKS = 3
"""Edges with which a node arrives."""
REACH = 1000
"""A node links to one of so many before it."""


def generated(
    seed: int,
    size: int | None = None,
    *,
    drift: Drift = "sudden",
    priors: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25),
    features: bool = True,
    homophily: float = 0.7,
    distance: float = 2.0,
    share: float = 0.3,
    delay: int = 100,
    batch: int = 50,
) -> Stream:
    """A stochastic block model that grows, with two drifts at one and two thirds of it.

    Args:
        seed: of everything.
        size: nodes; 6,000 by default.
        drift: ``sudden``: the class means jump; ``gradual``: from one third on to two thirds they rotate by
            half a turn; ``links``: nodes link to the next class instead of their own, then to their own again.
        priors: how frequent each class is.
        features: whether nodes have any.
        homophily: share of the links that follow the class; the others go anywhere.
        distance: of the class means from the origin, the features' standard deviation being one.
        share: of the nodes that are ever labelled.
        delay: arrivals between a node and its label.
        batch: nodes a turn.
    """
    count = size or 6000
    names = tuple(f"class-{number}" for number in range(len(priors)))
    starts = (count // 3, 2 * count // 3)

    def turns() -> Iterator[Turn]:
        random = np.random.default_rng([seed, 23])
        labels = random.choice(len(priors), size=count, p=priors)
        truth = {str(node): names[label] for node, label in enumerate(labels.tolist())}
        means = random.normal(size=(3, len(priors), FEATURES))
        means *= distance / np.linalg.norm(means, axis=2, keepdims=True)

        def arrivals() -> Iterator[Arrival]:
            for node, label in enumerate(labels.tolist()):
                x = random.normal(size=FEATURES) + _mean(means, label, node, starts, drift)
                wanted = (label + 1) % len(priors) if drift == "links" and starts[0] <= node < starts[1] else label
                near = _neighbours(labels, node, wanted, homophily, random)
                name = str(node)
                yield Arrival(
                    events=(
                        UpsertNode(id=name, x=x.tolist() if features else None, ts=float(node)),
                        *(UpsertEdge(src=name, dst=str(other), ts=float(node)) for other in near),
                    ),
                    node=name,
                    truth=(name, truth[name]),
                )

        for part in batched(delay_labels(some_labelled(arrivals(), share, seed), delay), batch):
            yield Turn(part.events, tuple((node, truth[node]) for node in part.nodes))

    score_from = count // 10
    return Stream(
        schema=GraphSchema(feature_width=FEATURES if features else None, classes=names),
        turns=turns,
        first_part=starts[0] // batch,
        score_from=score_from,
        window=max(count // 30, 1),
        drifts=tuple(start - score_from for start in starts),
    )


def _mean(
    means: npt.NDArray[np.float64], label: int, node: int, starts: tuple[int, int], drift: Drift
) -> npt.NDArray[np.float64]:
    """Where the features of a class are centred when this node arrives."""
    if drift == "sudden":
        centre: npt.NDArray[np.float64] = means[sum(node >= start for start in starts), label]
        return centre
    if drift == "links":
        return np.asarray(means[0, label])
    turned = np.clip((node - starts[0]) / (starts[1] - starts[0]), 0, 1) * np.pi
    left, right = np.split(means[0, label], 2)
    return np.concatenate([
        np.cos(turned) * left - np.sin(turned) * right,
        np.sin(turned) * left + np.cos(turned) * right,
    ])  # fmt: skip


def _neighbours(
    labels: npt.NDArray[np.int64], node: int, wanted: int, homophily: float, random: np.random.Generator
) -> list[int]:
    """Distinct earlier nodes that a node links to, most of them of the wanted class."""
    first = max(0, node - REACH)
    if node == 0:
        return []
    alike = np.flatnonzero(labels[first:node] == wanted) + first
    pools = [alike if len(alike) and random.random() < homophily else np.arange(first, node) for _ in range(LINKS)]
    return sorted({int(random.choice(pool)) for pool in pools})
