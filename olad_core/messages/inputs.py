"""What is known of nodes before their neighbours are read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from olad_core.messages.sparse_features import Features


@dataclass(frozen=True)
class Inputs:
    """What a student gets of n nodes.

    Known labels are inputs, so that a node can be judged by the labels of its neighbours ("Masked Label Prediction",
    Shi et al. 2021). The label of a node that is being predicted must be hidden, or students would learn to repeat it.

    Attributes:
        x: features ``[n, F]``.
        label: int64 ``[n]``, the class; -1 where it is not known, or hidden.
        memory: ``[n, width]``, hidden states, for a student that remembers; None for zeros.
    """

    x: Features
    label: Tensor
    memory: Tensor | None = None
