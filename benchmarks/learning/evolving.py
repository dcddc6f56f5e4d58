"""Cora and Citeseer with few labels: edges come or go, the paper's own scenario; and as they are, for splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.learning.stream import Stream, Turn, data_home, dataset
from olad_core.events import Event, LabelNode, RemoveEdge, UpsertEdge
from service.replay.archive_graph import GraphDataset

Change = Literal["removed", "rewired", "added"]
PHASES = 5
"""After phase k so many tenths of the edges have changed; then the test nodes are asked."""
TURNS = 4
"""Turns of each phase."""
FIRST_ROUNDS = 25
"""Rounds of learning on the graph as it is at first."""
EPOCHS = 5
"""Training steps between two questions on a split."""
QUESTIONS = 40
"""Times that a split is asked."""


def evolving(seed: int, size: int | None = None, *, name: str, change: Change) -> Stream:
    """The public split's training nodes are labelled at the start; test nodes are asked after each phase.

    Args:
        seed: decides which edges change.
        size: makes no difference; the graphs are small.
        name: ``cora`` or ``citeseer``.
        change: ``removed``: edges leave; ``rewired``: one end of theirs moves to any node; ``added``: half of the
            edges are there at first and the others come.
    """
    del size  # The graphs are small.
    papers, masks = dataset(f"{name}.npz"), _masks(name)
    asked = _asked(papers, masks["test_mask"])

    def turns() -> Iterator[Turn]:
        random = np.random.default_rng([seed, 31])
        pairs = papers.edges.T[random.permutation(papers.edges.shape[1])].tolist()
        changing, staying = pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]
        first = staying if change == "added" else pairs
        yield Turn(_whole(papers, masks["train_mask"], first), rounds=FIRST_ROUNDS)
        parts = np.array_split(np.arange(len(changing)), PHASES * TURNS)
        for number, part in enumerate(parts, start=1):
            events = [event for place in part for event in _changed(changing[place], change, len(papers), random)]
            yield Turn(tuple(events), asked if number % TURNS == 0 else ())

    return Stream(papers.schema(), turns, first_part=1, window=len(asked))


def split(seed: int, size: int | None = None, *, name: str) -> Stream:
    """The public split of a graph that stays: validation and test nodes are asked every few steps of training."""
    del seed, size  # The split is given, and the graphs are small.
    papers, masks = dataset(f"{name}.npz"), _masks(name)
    validation, test = _asked(papers, masks["val_mask"]), _asked(papers, masks["test_mask"])

    def turns() -> Iterator[Turn]:
        yield Turn(_whole(papers, masks["train_mask"], papers.edges.T.tolist()))
        for _ in range(QUESTIONS):
            yield Turn((), validation + test)

    return Stream(
        papers.schema(),
        turns,
        first_part=QUESTIONS // 4,
        window=len(validation) + len(test),
        validation=len(validation),
    )


def _whole(papers: GraphDataset, labelled: npt.NDArray[np.bool_], edges: Sequence[Sequence[int]]) -> tuple[Event, ...]:
    """The nodes, the labels of some, and edges."""
    nodes = [arrival.events[0] for arrival in papers.arrivals()]
    labels = [
        LabelNode(id=str(node), label=papers.classes[papers.labels[node]]) for node in np.flatnonzero(labelled).tolist()
    ]
    return (*nodes, *labels, *(UpsertEdge(src=str(src), dst=str(dst)) for src, dst in edges))


def _changed(edge: Sequence[int], change: Change, nodes: int, random: np.random.Generator) -> tuple[Event, ...]:
    src, dst = str(edge[0]), str(edge[1])
    if change == "added":
        return (UpsertEdge(src=src, dst=dst),)
    gone = RemoveEdge(src=src, dst=dst)
    return (gone,) if change == "removed" else (gone, UpsertEdge(src=src, dst=str(random.integers(nodes))))


def _masks(name: str) -> dict[str, npt.NDArray[np.bool_]]:
    with np.load(data_home() / f"{name}.npz", allow_pickle=False) as arrays:
        return {mask: arrays[mask] for mask in ("train_mask", "val_mask", "test_mask")}


def _asked(papers: GraphDataset, mask: npt.NDArray[np.bool_]) -> tuple[tuple[str, str], ...]:
    return tuple((str(node), papers.classes[papers.labels[node]]) for node in np.flatnonzero(mask).tolist())
