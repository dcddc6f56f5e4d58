"""Answers: what is served of a node, and what is predicted of it for a score."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.tasks.node_class.head import CLASSES, DISAGREEMENT

SOFTMAX_WIDTH = 16
"""Least columns of a softmax: fewer do not fill a vector register, and take a CPU several times as long."""


def answers(outputs: Tensor, temperature: Tensor) -> Tensor:
    """Answers ``[N, 1 + C]`` from outputs ``[N, 1 + C]``; class logits are divided by the temperature."""
    logits = outputs[:, CLASSES] / temperature
    missing = max(SOFTMAX_WIDTH - logits.shape[1], 0)
    shares = F.pad(logits, (0, missing), value=-math.inf).softmax(dim=1)
    disagreement = outputs[:, DISAGREEMENT].unsqueeze(1).sigmoid()
    return torch.cat([disagreement, shares[:, : logits.shape[1]]], dim=1)


def probabilities(logits: Tensor, temperature: Tensor) -> Tensor:
    """Class probabilities ``[n, C]`` from class logits ``[n, C]``, which are divided by the temperature."""
    return (logits / temperature).softmax(dim=1)
