"""The losses between students and discriminators in online adversarial distillation (Wang et al., arXiv 2112.13966).

The losses of what is predicted belong to the task: ``olad_core/tasks/node_class/losses.py``.

``G`` students see ``n`` nodes; student ``i`` has embeddings ``h_i``.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
    """Local knowledge: ``BCE(D_{i+1}(A, h_i), 1)``, the loss of student ``i`` for being recognised.

    Args:
        fake: ``[G, n]``, scores of ``h_i`` by discriminator ``i + 1``.

    Returns:
        ``[G]``, one loss a student.
    """
    return F.softplus(-fake).mean(dim=1)
