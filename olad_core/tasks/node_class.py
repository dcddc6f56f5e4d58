"""The task of today: the class of a node, and the disagreement of the group about it.

A head has :func:`head_width` outputs for a node: the logit of the expected disagreement, then one logit a class. An
answer has the same columns: the disagreement, then class probabilities.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.device import to_device
from olad_core.graph import DynamicGraph

Rows = npt.NDArray[np.int64]

DISAGREEMENT = 0
"""Column of the disagreement, in outputs and in answers."""
CLASSES = slice(1, None)
"""Columns of the classes, in outputs and in answers."""
SOFTMAX_WIDTH = 16
"""Least columns of a softmax: fewer do not fill a vector register, and take a CPU several times as long."""


def head_width(classes: int) -> int:
    """Outputs of a head for so many classes.

    >>> head_width(3)
    4
    """
    return 1 + classes


def answers(outputs: Tensor, temperature: Tensor) -> Tensor:
    """Answers ``[N, 1 + C]`` from outputs ``[N, 1 + C]``; class logits are divided by the temperature."""
    logits = outputs[:, CLASSES] / temperature
    missing = max(SOFTMAX_WIDTH - logits.shape[1], 0)
    shares = F.pad(logits, (0, missing), value=-math.inf).softmax(dim=1)
    return torch.cat([outputs[:, :1].sigmoid(), shares[:, : logits.shape[1]]], dim=1)


def targets(graph: DynamicGraph, rows: Rows, device: torch.device) -> Tensor:
    """Classes ``[n]`` of labelled rows."""
    return to_device(graph.label[rows].astype(np.int64), device)


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of every student on labelled nodes.

    Args:
        logits: ``[G, n, C]``.
        targets: int64 ``[n]``.

    Returns:
        ``[G]``.
    """
    truth = targets.expand(len(logits), -1).unsqueeze(2)
    return -log_probabilities(logits).gather(2, truth).squeeze(2).mean(dim=1)


def log_probabilities(logits: Tensor) -> Tensor:
    """``log s(z)`` of logits ``[G, n, C]``, laid out class by class: along rows of a few it takes 20 times as long."""
    return logits.mT.contiguous().log_softmax(dim=1).mT
