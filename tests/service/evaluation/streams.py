"""A tiny stream, and what is known of its nodes at their arrival, by plain dictionaries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from olad_core.events import GraphSchema, LabelNode, RemoveEdge, UpsertEdge, UpsertNode
from service.replay.arrival_stream import Arrival, Batch, batched
from service.replay.label_delay import delay_labels
from service.replay.sources import Source

CLASSES = ("a", "b", "c")


def tiny_batches(nodes: int, *, seed: int = 0, delay: int = 7, size: int = 4) -> list[Batch]:
    """Nodes of three classes with two features; neighbours mostly of the same class; some edges leave again."""
    chance = random.Random(seed)
    labels = [chance.choice(CLASSES) for _ in range(nodes)]

    def arrivals() -> Iterator[Arrival]:
        for number, label in enumerate(labels):
            x = [float(CLASSES.index(label)) + chance.gauss(0, 0.7), chance.gauss(0, 1)]
            events: list[UpsertNode | UpsertEdge | RemoveEdge] = [UpsertNode(id=str(number), x=x, ts=float(number))]
            for other in chance.sample(range(number), min(number, 4)):
                if labels[other] == label or chance.random() < 0.3:
                    ends = str(number), str(other)
                    events.append(UpsertEdge(*ends, weight=chance.choice([0.5, 1.0, 2.0]), ts=float(number)))
                    if chance.random() < 0.15:
                        events.append(RemoveEdge(*ends))
            yield Arrival(tuple(events), str(number), (str(number), label))

    return list(batched(delay_labels(arrivals(), delay), size))


def tiny_source(nodes: int, **how: int) -> Source:
    batches = iter(tiny_batches(nodes, **how))
    return Source("tiny", None, batches, GraphSchema(feature_width=2, classes=CLASSES), nodes, score_from=nodes // 2)


@dataclass
class PlainGraph:
    """Features, edges and labels as the events name them."""

    x: dict[str, list[float]] = field(default_factory=dict)
    edges: dict[str, dict[str, float]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def apply(self, batch: Batch) -> list[str]:
        """Follow a batch; the nodes that it labels."""
        labelled = []
        for event in batch.events:
            match event:
                case UpsertNode(id=node, x=list(x)):
                    self.x[str(node)] = x
                    self.edges.setdefault(str(node), {})
                case UpsertEdge(src=src, dst=dst, weight=weight):
                    for one, other in ((str(src), str(dst)), (str(dst), str(src))):
                        self.edges[one][other] = 1.0 if weight is None else weight
                case RemoveEdge(src=src, dst=dst):
                    for one, other in ((str(src), str(dst)), (str(dst), str(src))):
                        self.edges[one].pop(other, None)
                case LabelNode(id=node, label=label):
                    self.labels[str(node)] = str(label)
                    labelled.append(str(node))
        return labelled

    def near(self, node: str, hidden: tuple[str, ...]) -> list[float]:
        """Weights of the labelled neighbours by class; the ``hidden`` nodes count as unlabelled."""
        weights = dict.fromkeys(CLASSES, 0.0)
        for other, weight in self.edges[node].items():
            if other in self.labels and other not in hidden:
                weights[self.labels[other]] += weight
        return list(weights.values())

    def frequency(self, hidden: tuple[str, ...]) -> list[int]:
        known = [label for node, label in self.labels.items() if node not in hidden]
        return [known.count(name) for name in CLASSES]

    def row(self, node: str, hidden: tuple[str, ...]) -> list[float]:
        return [*self.x[node], float(len(self.edges[node])), *self.near(node, hidden)]

    def propagated(self, node: str, hidden: tuple[str, ...]) -> list[float]:
        """Features, their mean over neighbours, shares of classes in one and two hops, log of one and the degree."""
        others = list(self.edges[node])
        mean = [float(np.mean([self.x[other][place] for other in others])) if others else 0.0 for place in range(2)]
        two = [_shares(self.near(other, hidden)) for other in others]
        beyond = [float(np.mean([row[place] for row in two])) if two else 0.0 for place in range(len(CLASSES))]
        return [*self.x[node], *mean, *_shares(self.near(node, hidden)), *beyond, float(np.log1p(len(others)))]


def _shares(weights: list[float]) -> list[float]:
    return [weight / sum(weights) if sum(weights) else 0.0 for weight in weights]
