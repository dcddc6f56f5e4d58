"""Candidate classes: what a training step computes instead of every class, where a graph has many.

The labels of a step and the classes that its students predict are certain to be candidates. A uniform sample stands for
all others: each sampled class counts as many times as there are others to one sampled, which enters as the logarithm of
that number, added to its logit. Then sums over the candidates are unbiased estimates of sums over all classes (sampled
softmax: Jean et al., "On Using Very Large Target Vocabulary for Neural Machine Translation", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olad_core.tasks.node_class.head import CLASSES, DISAGREEMENT

MOST_EXACT = 1024
"""Up to so many classes every step computes all of them: candidates would be hardly fewer."""
SAMPLED = 512
"""Classes that are sampled to stand for all that are not certain."""
MOST_PREDICTED = 2**21
"""Logits, students x nodes x classes, that are computed to find which classes the students predict."""


@dataclass(frozen=True)
class Candidates:
    """The classes that a step computes.

    Attributes:
        classes: int64 ``[K]``: those that are certain, ascending, then the sampled ones.
        certain: how many are certain.
        log_counts: ``[K]``, logarithm of the number of classes that each stands for.
    """

    classes: Tensor
    certain: int
    log_counts: Tensor

    def places(self, classes: Tensor) -> Tensor:
        """Where certain classes ``[n]`` are among the candidates."""
        return torch.searchsorted(self.classes[: self.certain], classes)


@dataclass(frozen=True)
class CandidateHeads:
    """What the heads of G students hold of the candidates, and of the disagreement.

    Attributes:
        weight: ``[G, 1 + K, width]``.
        bias: ``[G, 1 + K]``.
        log_counts: of the candidates ``[K]``.
    """

    weight: Tensor
    bias: Tensor
    log_counts: Tensor

    def logits(self, embeddings: Tensor, temperature: float = 1.0) -> Tensor:
        """Logits ``[G, n, K]`` from embeddings ``[G, n, width]``.

        Args:
            embeddings: of each student.
            temperature: that the logits will be divided by.
        """
        bias = self.bias[:, CLASSES] + temperature * self.log_counts
        return torch.baddbmm(bias.unsqueeze(2), self.weight[:, CLASSES], embeddings.mT).mT

    def disagreement_logits(self, embeddings: Tensor) -> Tensor:
        """Logits ``[G, n]`` of the expected disagreement, from embeddings ``[G, n, width]``."""
        weight, bias = self.weight[:, DISAGREEMENT], self.bias[:, DISAGREEMENT]
        return (embeddings * weight.unsqueeze(1)).sum(dim=2) + bias.unsqueeze(1)


def are_many(classes: int) -> bool:
    """Whether a training step computes candidates instead of all classes."""
    return classes > MOST_EXACT


def draw_candidates(certain: Tensor, classes: int, random: np.random.Generator) -> Candidates:
    """Draw the candidates of a step.

    Args:
        certain: int64, classes that must be among them; may hold one several times.
        classes: number of all classes.
        random: draws the sample.

    >>> drawn = draw_candidates(torch.tensor([3, 3, 1]), 5000, np.random.default_rng(0))
    >>> drawn.classes[:2].tolist(), len(drawn.classes), round(float(drawn.log_counts.exp().sum()))
    ([1, 3], 514, 5000)
    """
    known = torch.unique(certain)
    others = np.setdiff1d(np.arange(classes), known.cpu().numpy(), assume_unique=True)
    sampled = random.choice(others, min(SAMPLED, len(others)), replace=False)
    counts = np.ones(len(known) + len(sampled), dtype=np.float32)
    if len(sampled):
        counts[len(known) :] = len(others) / len(sampled)
    together = torch.cat([known, torch.from_numpy(sampled).to(known.device)])
    return Candidates(together, len(known), torch.from_numpy(np.log(counts)).to(known.device))


def candidate_heads(heads: Sequence[nn.Linear], candidates: Candidates) -> CandidateHeads:
    """Rows of the heads; gradients reach the candidates' rows alone."""
    rows = torch.cat([candidates.classes.new_full((1,), DISAGREEMENT), candidates.classes + 1])
    weight = torch.stack([F.embedding(rows, head.weight) for head in heads])
    bias = torch.stack([head.bias[rows] for head in heads])
    return CandidateHeads(weight, bias, candidates.log_counts)


def nodes_to_predict(nodes: int, students: int, classes: int) -> Tensor:
    """Of so many nodes, those whose classes are predicted: all of them, or each second, third and so on.

    >>> nodes_to_predict(20, students=4, classes=70_000)
    tensor([ 0,  3,  6,  9, 12, 15, 18])
    """
    most = max(1, MOST_PREDICTED // (students * classes))
    return torch.arange(0, nodes, -(-nodes // most))


def predicted_of_all(heads: Sequence[nn.Linear], embeddings: Tensor, classes: int) -> Tensor:
    """The class ``[G, n]`` of all that each of G students predicts, from embeddings ``[G, n, width]``."""
    with torch.no_grad():
        pairs = zip(heads, embeddings, strict=True)
        return torch.stack([head(rows)[:, CLASSES][:, :classes].argmax(dim=1) for head, rows in pairs])
