"""The losses of online adversarial distillation (Wang et al., arXiv 2112.13966), one function each.

The supervised loss belongs to the task: ``olad_core/tasks/node_class.py``.

``G`` students see ``n`` nodes and ``C`` classes; student ``i`` has logits ``z_i`` and embeddings ``h_i``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from olad_core.tasks.node_class import log_probabilities


def global_losses(
    logits: Tensor, teachers: Tensor, teaching: Tensor, temperature: float, min_confidence: float = 0.0
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

    Returns:
        ``[G]``.
    """
    strength = teaching.sum(dim=1)
    weights = teaching / strength.clamp_min(1e-12).unsqueeze(1)
    said = log_probabilities(teachers.detach() / temperature).exp()
    target = torch.einsum("ij,jcn->icn", weights, said.mT).mT
    divergence = (target * (_log(target) - log_probabilities(logits / temperature))).sum(dim=2)
    confident = target.amax(dim=2) > min_confidence
    return strength * temperature**2 * (divergence * confident).mean(dim=1)


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
    log_said = log_probabilities(logits)
    said = log_said.exp()
    mean = said.mean(dim=0)
    divergence = (said * log_said).sum(dim=2).mean(dim=0) - (mean * _log(mean)).sum(dim=1)
    return (divergence / most).clamp(0, 1)


def disagreement_losses(doubts: Tensor, found: Tensor) -> Tensor:
    """Cross entropy of the disagreement that every student expects.

    Args:
        doubts: ``[G, n]``, logits.
        found: ``[n]``; see :func:`disagreement`.

    Returns:
        ``[G]``.
    """
    return F.binary_cross_entropy_with_logits(doubts, found.expand_as(doubts), reduction="none").mean(dim=1)


def discriminator_losses(real: Tensor, fake: Tensor) -> Tensor:
    """``BCE(D_i(A, h_i), 1) + BCE(D_i(A, h_{i-1}), 0)`` from the scores of real and fake embeddings.

    Args:
        real: ``[G, n]``, scores of ``h_i`` by discriminator ``i``, before the sigmoid.
        fake: ``[G, n]``, scores of ``h_i`` by discriminator ``i + 1``.

    Returns:
        ``[G]``, one loss a discriminator.
    """
    return F.softplus(-real).mean(dim=1) + F.softplus(fake).mean(dim=1).roll(1)


def local_losses(fake: Tensor) -> Tensor:
    """Local knowledge: ``BCE(D_{i+1}(A, h_i), 1)``, what student ``i`` pays for being told from its successor.

    Args:
        fake: ``[G, n]``, scores of ``h_i`` by discriminator ``i + 1``.

    Returns:
        ``[G]``, one loss a student.
    """
    return F.softplus(-fake).mean(dim=1)


def _log(probabilities: Tensor) -> Tensor:
    """Their logarithm; of zero a finite one, since what it is multiplied by is zero too."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()
