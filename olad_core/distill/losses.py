"""The losses of online adversarial distillation (Wang et al., arXiv 2112.13966), one function each.

``G`` students see ``n`` nodes and ``C`` classes; student ``i`` has logits ``z_i`` and embeddings ``h_i``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def supervised_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of every student on labelled nodes.

    Args:
        logits: ``[G, n, C]``.
        labels: int64 ``[n]``.

    Returns:
        ``[G]``.
    """
    group, nodes, classes = logits.shape
    each = F.cross_entropy(logits.reshape(-1, classes), labels.repeat(group), reduction="none")
    return each.view(group, nodes).mean(dim=1)


def global_losses(
    logits: Tensor, teachers: Tensor, teaching: Tensor, temperature: float, min_confidence: float = 0.0
) -> Tensor:
    """Global knowledge: ``T^2 * mean over nodes of KL(p_i || s_T(z_i))`` with ``p_i = sum_j w_ij s_T(t_j)``.

    No gradient passes through the target ``p_i``. Nodes at which its greatest probability does not exceed
    ``min_confidence`` count as zero; so do all nodes of a student whom nobody teaches (a row of zeros).

    Args:
        logits: ``[G, n, C]``, ``z``.
        teachers: ``[J, n, C]``, logits ``t`` of those who teach.
        teaching: ``[G, J]``, how much teacher ``j`` teaches student ``i``; rows sum to one or are zero.
        temperature: ``T``.
        min_confidence: in ``[0, 1)``.

    Returns:
        ``[G]``.
    """
    target = torch.einsum("ij,jnc->inc", teaching, (teachers.detach() / temperature).softmax(dim=2))
    spoken = (logits / temperature).log_softmax(dim=2)
    divergence = (torch.xlogy(target, target) - target * spoken).sum(dim=2)
    confident = target.amax(dim=2) > min_confidence
    return temperature**2 * (divergence * confident).mean(dim=1)


def discriminator_losses(real: Tensor, fake: Tensor) -> Tensor:
    """``BCE(D_i(A, h_i), 1) + BCE(D_i(A, h_{i-1}), 0)`` from the scores of real and fake embeddings.

    Args:
        real: ``[G, n]``, scores of ``h_i`` by discriminator ``i``, before the sigmoid.
        fake: ``[G, n]``, scores of ``h_{i-1}`` by discriminator ``i``.

    Returns:
        ``[G]``, one loss a discriminator.
    """
    return F.softplus(-real).mean(dim=1) + F.softplus(fake).mean(dim=1)


def local_losses(fake: Tensor) -> Tensor:
    """Local knowledge: ``BCE(D_{i+1}(A, h_i), 1)``, what student ``i`` pays for being told from its successor.

    Args:
        fake: ``[G, n]``, scores of ``h_{i-1}`` by discriminator ``i``.

    Returns:
        ``[G]``, one loss a student: entry ``i`` comes from discriminator ``i + 1``.
    """
    return F.softplus(-fake).mean(dim=1).roll(-1)
