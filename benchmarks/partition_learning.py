"""Learning over partitions beside the single worker, on papers of PubMed in the order of their years.

``python -m benchmarks.partition_learning``, some minutes of CPU time. All ranks are in one process. It compares the
accuracy of what is served at arrival, and counts what a training step sends. It measures no time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from benchmarks.learning.citations import pubmed
from benchmarks.learning.stream import Stream
from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.events import Event
from olad_core.partition import Partition, PartitionedLearner, Traffic, run_in_lockstep
from service.worker.temporal_library import import_temporal_library

CONFIG = EngineConfig(serve="best", trees=False)
ROWS = 32_768
"""Rows of a slice: a version is served a few slices after it begins, as at the single worker."""

Answers = Callable[[Sequence[str]], dict[str, str]]
"""The label that is served of each of some nodes."""


class Alone:
    """The single worker."""

    def __init__(self, stream: Stream) -> None:
        self._engine = Engine(CONFIG, torch.device("cpu"))
        self._engine.declare("1-0", stream.schema)
        self._entries = 1

    def apply(self, events: Sequence[Event]) -> None:
        """Apply an entry."""
        self._entries += 1
        self._engine.apply(f"{self._entries}-0", events, float(self._entries))
        self._engine.refresh()

    def learn(self, steps: int) -> None:
        """Take training steps."""
        self._engine.learn(steps)

    def labels(self, nodes: Sequence[str]) -> dict[str, str]:
        """What is served of nodes."""
        served = self._engine.versions.served
        if served is None:
            return {}
        found = served.embedding.probabilities(self._engine.graph.rows(nodes)).argmax(axis=1)
        return {node: served.version.classes[label] for node, label in zip(nodes, found.tolist(), strict=True)}


class Several:
    """Ranks in lockstep.

    Args:
        stream: whose schema is declared.
        ranks: how many there are.
    """

    def __init__(self, stream: Stream, ranks: int) -> None:
        self._parts = [Partition(rank, ranks) for rank in range(ranks)]
        for part in self._parts:
            part.declare(stream.schema)
        self.learners = [PartitionedLearner(CONFIG, part) for part in self._parts]
        self.traffic = Traffic()
        self._entries = 1

    def apply(self, events: Sequence[Event]) -> None:
        """Apply an entry."""
        self._entries += 1
        followed = run_in_lockstep([part.apply(events, float(self._entries)) for part in self._parts])
        pairs = zip(self.learners, followed, strict=True)
        run_in_lockstep([each.follow(f"{self._entries}-0", len(events), what) for each, what in pairs])

    def learn(self, steps: int) -> None:
        """Take training steps."""
        for _ in range(steps):
            run_in_lockstep([each.step() for each in self.learners], self.traffic)
            while self.learners[0].is_embedding:
                run_in_lockstep([each.embed(ROWS) for each in self.learners])
            for each in self.learners:
                if each.embedded:
                    each.switch()

    def labels(self, nodes: Sequence[str]) -> dict[str, str]:
        """What is served of nodes."""
        found: dict[str, str] = {}
        for part, each in zip(self._parts, self.learners, strict=True):
            if each.served is None:
                return {}
            rows = part.graph.rows(nodes)
            rows = rows[(rows >= 0) & part.store.owned[rows]]
            labels = [each.served.classes[label] for label in each.answers(rows)[:, 1:].argmax(axis=1)]
            found |= dict(zip(part.graph.ids(rows), labels, strict=True))
        return found


def accuracy(stream: Stream, worker: Alone | Several, steps: int) -> float:
    """Share of the questions that are answered right, in percent; a question without an answer counts as wrong."""
    right: list[bool] = []
    for turn in stream.turns():
        worker.apply(turn.events)
        if turn.asked:
            found = worker.labels([node for node, _ in turn.asked])
            right += [found.get(node) == truth for node, truth in turn.asked]
        worker.learn(steps)
    return 100 * float(np.mean(right[stream.score_from :]))


def played(stream: Stream, steps: int, ranks: Sequence[int]) -> Iterator[tuple[str, float]]:
    """Each way to learn with its accuracy."""
    yield "single worker", accuracy(stream, Alone(stream), steps)
    for count in ranks:
        several = Several(stream, count)
        yield f"{count} ranks", accuracy(stream, several, steps)
        taken = several.learners[0].steps
        sent = {kind: size / taken / count / 1e3 for kind, size in several.traffic.size.items()}
        for kind, size in sorted(sent.items(), key=lambda item: -item[1]):
            print(f"    a step sends from each rank {size:,.1f} kB of {kind}")


def main() -> None:
    """Print accuracies and traffic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=int, default=4_000)
    parser.add_argument("--steps", type=int, default=8, help="training steps after each 200 papers")
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--seed", type=int, default=0, help="of the stream")
    options = parser.parse_args()
    torch.set_num_threads(1)
    import_temporal_library()
    stream = pubmed(options.seed, options.papers)
    for name, share in played(stream, options.steps, options.ranks):
        print(f"{name}: {share:.2f} % of the answers at arrival are right", flush=True)


if __name__ == "__main__":
    main()
