"""Targets and losses: from labels, from the predictions of teachers, and of the expected disagreement.

``G`` students see ``n`` nodes and ``C`` classes; student ``i`` has logits ``z_i``. The loss from teachers is the global
knowledge of online adversarial distillation (Wang et al., arXiv 2112.13966).
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


def targets(graph: DynamicGraph, rows: Rows, device: torch.device) -> Tensor:
    """Classes ``[n]`` of labelled rows."""
    return to_device(graph.label[rows].astype(np.int64), device)


def losses(logits: Tensor, targets: Tensor, shares: Tensor | None = None) -> Tensor:
    """Cross entropy of every student on labelled nodes.

    Args:
        logits: ``[G, n, C]``.
        targets: int64 ``[n]``.
        shares: ``[n]``, of the nodes in the mean; None: all count alike.

    Returns:
        ``[G]``.
    """
    truth = targets.expand(len(logits), -1).unsqueeze(2)
    return -_mean(_log_probabilities(logits).gather(2, truth).squeeze(2), shares)


def global_losses(
    logits: Tensor,
    teachers: Tensor,
    teaching: Tensor,
    temperature: float,
    min_confidence: float = 0.0,
    taught: slice = slice(None),
    shares: Tensor | None = None,
) -> Tensor:
    """Global knowledge: ``a_i T^2 * mean over nodes of KL(p_i || s_T(z_i))``, ``p_i = sum_j (w_ij / a_i) s_T(t_j)``.

    No gradient passes through the target ``p_i``. Nodes at which its greatest probability does not exceed
    ``min_confidence`` count as zero; so do all nodes of a student whom nobody teaches (a row of zeros).

    Args:
        logits: ``[G, n, C]``, ``z``.
        teachers: ``[J, n, C]``, logits ``t`` of those who teach.
        teaching: ``[G, J]``, how much teacher ``j`` teaches student ``i``; rows sum to ``a_i``, how
            much the student is taught at all.
        temperature: ``T``.
        min_confidence: in ``[0, 1)``.
        taught: the classes whose probabilities are taught.
        shares: ``[n]``, of the nodes in the mean; None: all count alike.

    Returns:
        ``[G]``.
    """
    strength = teaching.sum(dim=1)
    weights = teaching / strength.clamp_min(1e-12).unsqueeze(1)
    taught_by_each = _log_probabilities(teachers.detach() / temperature).exp()
    target = torch.einsum("ij,jcn->icn", weights, taught_by_each.mT).mT[:, :, taught]
    divergence = (target * (_log(target) - _log_probabilities(logits / temperature)[:, :, taught])).sum(dim=2)
    confident = target.amax(dim=2) > min_confidence
    return strength * temperature**2 * _mean(divergence * confident, shares)


def disagreement(logits: Tensor) -> Tensor:
    """How far the group's members differ about each node, from 0 to 1.

    The Jensen-Shannon divergence of their probabilities, ``H(mean_i s(z_i)) - mean_i H(s(z_i))``, over the greatest
    that it can be, ``log min(G, C)`` (Lin 1991).

    Args:
        logits: ``[G, n, C]``.

    Returns:
        ``[n]``; zeros for a group of one.

    >>> disagreement(torch.tensor([[[50.0, 0.0], [1.0, 0.0]], [[0.0, 50.0], [1.0, 0.0]]]))
    tensor([1., 0.])
    """
    most = math.log(min(logits.shape[0], logits.shape[2]))
    if most == 0:
        return torch.zeros_like(logits[0, :, 0])
    log_shares = _log_probabilities(logits)
    shares = log_shares.exp()
    mean = shares.mean(dim=0)
    divergence = (shares * log_shares).sum(dim=2).mean(dim=0) - (mean * _log(mean)).sum(dim=1)
    return (divergence / most).clamp(0, 1)


def disagreement_losses(doubts: Tensor, found: Tensor, shares: Tensor | None = None) -> Tensor:
    """Cross entropy of the disagreement that every student expects.

    Args:
        doubts: ``[G, n]``, logits.
        found: ``[n]``; see :func:`disagreement`.
        shares: ``[n]``, of the nodes in the mean; None: all count alike.

    Returns:
        ``[G]``.
    """
    return _mean(F.binary_cross_entropy_with_logits(doubts, found.expand_as(doubts), reduction="none"), shares)


def _mean(values: Tensor, shares: Tensor | None) -> Tensor:
    """Over the nodes, ``[G]`` of ``[G, n]``."""
    return values.mean(dim=1) if shares is None else (values * shares).sum(dim=1)


def _log_probabilities(logits: Tensor) -> Tensor:
    """``log s(z)`` of logits ``[G, n, C]``, laid out class by class: along rows of a few it takes 20 times as long."""
    return logits.mT.contiguous().log_softmax(dim=1).mT


def _log(probabilities: Tensor) -> Tensor:
    """Their logarithm; of zero a finite one, since what it is multiplied by is zero too."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()
