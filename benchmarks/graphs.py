"""Generated graphs of a given size and shape, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.replay.archive_graph import GraphDataset, SparseRows


@dataclass(frozen=True)
class GraphArrays:
    """A directed graph whose rows stand in order of arrival.

    Attributes:
        src: int64 ``[E]``, the later node of each edge.
        dst: int64 ``[E]``, the earlier one, which it cites.
        x: float32 ``[N, F]``.
        label: int16 ``[N]``.
        classes: number of classes.
    """

    src: npt.NDArray[np.int64]
    dst: npt.NDArray[np.int64]
    x: npt.NDArray[np.float32]
    label: npt.NDArray[np.int16]
    classes: int

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self.label)


def arxiv_shaped(
    nodes: int = 169_343, edges: int = 1_166_243, features: int = 128, classes: int = 40, seed: int = 0
) -> GraphArrays:
    """A citation graph of ogbn-arxiv's size: skewed in-degrees, neighbours of one class more often than not.

    A new node cites earlier ones by copying where earlier edges point (half of its edges, which makes the rich
    richer) or at random; four in five of those at random are of its own class. Features are a class's centre with
    noise.
    """
    random = np.random.default_rng(seed)
    label = random.integers(classes, size=nodes)
    src = np.sort(random.integers(1, nodes, size=edges))
    earlier = (random.random(edges) * src).astype(np.int64)
    same = _same_class(label, src, random)
    dst = np.where(random.random(edges) < 0.8, same, earlier)
    # Copied ends are resolved level by level: an edge copies one that may copy an earlier one.
    copies = random.random(edges) < 0.5
    first_of_src = np.searchsorted(src, src)
    model = (random.random(edges) * first_of_src).astype(np.int64)
    copies &= first_of_src > 0
    end = np.where(copies, model, np.arange(edges))
    for _ in range(64):
        if not copies[end].any():
            break
        end = np.where(copies[end], model[end], end)
    dst = dst[end]
    centres = random.normal(size=(classes, features)).astype(np.float32)
    x = centres[label] * 0.5 + random.normal(size=(nodes, features)).astype(np.float32)
    return GraphArrays(src, dst, x, label.astype(np.int16), classes)


def uniform(nodes: int, mean_degree: float, features: int, classes: int, seed: int = 0) -> GraphArrays:
    """A graph whose edges join any two nodes: the same distribution of degrees at any size."""
    random = np.random.default_rng(seed)
    src, dst = random.integers(nodes, size=(2, int(nodes * mean_degree)))
    x = random.normal(size=(nodes, features)).astype(np.float32)
    return GraphArrays(src, dst, x, random.integers(classes, size=nodes).astype(np.int16), classes)


def cora_shaped(seed: int = 0) -> GraphDataset:
    """A graph of Cora's size: 2,708 nodes, 5,278 edges, 1,433 binary features of which 18 are set, 7 classes."""
    random = np.random.default_rng(seed)
    nodes, width, words = 2708, 1433, 18
    features = SparseRows(
        values=np.ones(nodes * words, np.float32),
        indices=np.concatenate([random.choice(width, words, replace=False) for _ in range(nodes)]),
        indptr=np.arange(nodes + 1) * words,
        width=width,
    )
    edges = random.integers(nodes, size=(2, 5278))
    return GraphDataset(random.integers(7, size=nodes), tuple("abcdefg"), edges, features=features)


def _same_class(
    label: npt.NDArray[np.int64], src: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """For every edge an earlier node of its source's class; the source's predecessor where there is none."""
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(label.max() + 2))
    place = np.empty(len(label), np.int64)
    place[order] = np.arange(len(label)) - starts[label[order]]
    rank = place[src]
    chosen = starts[label[src]] + (random.random(len(src)) * np.maximum(rank, 1)).astype(np.int64)
    return np.where(rank > 0, order[chosen], src - 1)
