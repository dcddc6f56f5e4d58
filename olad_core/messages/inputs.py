"""Inputs of a student: features, known labels and hidden states."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from olad_core.messages.sparse_features import Features


@dataclass(frozen=True)
class Inputs:
    """Inputs of n nodes.

    Known labels are inputs, so that the labels of its neighbours help to classify a node ("Masked Label Prediction",
    Shi et al. 2021). The label of a node that is being predicted must be hidden. Otherwise students learn to copy it.

    Attributes:
        x: features ``[n, F]``.
        label: int64 ``[n]``, the class; -1 where it is unknown or hidden.
        memory: ``[n, width]``, hidden states, for a recurrent student; None for zeros.
    """

    x: Features
    label: Tensor
    memory: Tensor | None = None
