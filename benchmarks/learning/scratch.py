"""Graph networks that are trained on the whole graph: anew every thousand arrivals, or once on a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.learning.learners import Probabilities, unlabelled_rows
from benchmarks.learning.plain_gcn import EPOCHS, PlainGCN, Snapshot
from benchmarks.learning.stream import Turn
from olad_core.events import GraphSchema
from olad_core.graph import DynamicGraph
from service.evaluation.baselines.counting import frequencies
from service.evaluation.baselines.retrained import is_due


class _OnSnapshots:
    """Follows the graph, and asks networks on the whole of it as it is now."""

    def __init__(self, seed: int, width: int) -> None:
        self._graph = DynamicGraph()
        self._seed, self._width = seed, width
        self._snapshot: Snapshot | None = None
        self.steps = 0

    def declare(self, schema: GraphSchema) -> None:
        """Begin."""
        self._graph.declare(schema)

    def apply(self, number: int, turn: Turn) -> None:
        """Follow the graph."""
        self._graph.apply(turn.events, float(number))
        self._snapshot = None

    def end_first_part(self) -> None:
        """There is no teacher."""

    def _now(self) -> Snapshot:
        self._snapshot = self._snapshot or Snapshot.of(self._graph)
        return self._snapshot

    def _network(self, number: int) -> PlainGCN:
        features, classes = self._now().x.shape[1], len(self._graph.classes)
        return PlainGCN(features, self._width, classes, 1000 * self._seed + number)

    def _asked(self, network: PlainGCN, nodes: Sequence[str]) -> Probabilities:
        rows = unlabelled_rows(self._graph, nodes)
        graph = self._now()
        found = np.zeros((len(nodes), len(self._graph.classes)))
        found[:, : network.classes] = network.probabilities(graph)[np.searchsorted(graph.rows, rows)]
        return found


class Retrained(_OnSnapshots):
    """A GCN that is trained anew, from new weights and on all labels, when as many nodes have arrived as for the trees.

    Before the first training a node has the probabilities of the classes' frequencies.

    Args:
        seed: of weights and dropout.
        width: of the hidden layer.
    """

    def __init__(self, seed: int, width: int) -> None:
        super().__init__(seed, width)
        self._trained: PlainGCN | None = None
        self._trained_at = 0

    def predict(self, nodes: Sequence[str]) -> dict[str, Probabilities]:
        """What the network of the last training predicts on the graph as it is now."""
        if self._trained is not None:
            return {"served": self._asked(self._trained, nodes)}
        unlabelled_rows(self._graph, nodes)
        label = self._graph.label[self._graph.alive]
        counts = np.bincount(label[label >= 0], minlength=len(self._graph.classes)).astype(np.float64)
        return {"served": frequencies(counts, len(nodes))}

    def learn(self, steps: int, share: float) -> None:
        """Train where that is due; however many steps others take."""
        del steps, share
        arrivals = int(self._graph.alive.sum())
        label = self._graph.label[self._graph.alive]
        if not is_due(self._trained_at, arrivals) or len(np.unique(label[label >= 0])) < 2:
            return
        self._trained_at = arrivals
        self._trained = self._network(self.steps // EPOCHS)
        self._trained.train_epochs(self._now(), EPOCHS)
        self.steps += EPOCHS


class PlainGroup(_OnSnapshots):
    """Several GCNs that learn on a graph that stays, for the public splits.

    Args:
        seed: of weights and dropout.
        width: of the hidden layer.
        networks: how many.
        own_steps: whether all epochs of the authors are taken at once; else as many steps as other methods take.
    """

    def __init__(self, seed: int, width: int, networks: int, *, own_steps: bool) -> None:
        super().__init__(seed, width)
        self._networks: list[PlainGCN] = []
        self._count, self._own_steps = networks, own_steps

    def predict(self, nodes: Sequence[str]) -> dict[str, Probabilities]:
        """What each network predicts, and their mean; the first one's stands as served."""
        found = {f"gcn-{number}": self._asked(network, nodes) for number, network in enumerate(self._networks, start=1)}
        return {"served": found["gcn-1"], **found, "ensemble": np.mean(list(found.values()), axis=0)}

    def learn(self, steps: int, share: float) -> None:
        """Steps of each network."""
        del share
        if not self._networks:
            self._networks = [self._network(number) for number in range(self._count)]
        elif self._own_steps:
            return
        epochs = EPOCHS if self._own_steps else steps
        for network in self._networks:
            network.train_epochs(self._now(), epochs)
        self.steps += epochs
