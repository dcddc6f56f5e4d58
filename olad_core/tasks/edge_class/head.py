"""The head: a group of small networks that learn from each other, and answer with the mean of their probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.tasks.edge_class.history import BLOCKS, PLAIN, Inputs
from olad_core.tasks.networks import MEMBERS, Networks

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BATCH = 128
"""Examples of a step, drawn for each member."""
TAUGHT = 0.3
"""Share of the group's mean in what each member learns: distillation by KL divergence (Hinton et al. 2015)."""
_DECAYS = np.array([0.1, 0.1, 5.0, 5.0], np.float32)[:, None, None]
"""Decay of each member's weights: where labels are few the members with more of it are better, else the others."""
_SEEN_BEFORE = 100


class Head:
    """A group whose outputs are added to the logarithms of the shares of the classes.

    So a head that has learned nothing gives these shares, and a class that is rare need not be learned to be rare.

    Args:
        places: for classes, K.
        seed: of the weights and draws.
        features: of an edge, F.
    """

    def __init__(self, places: int, seed: int, features: int = 0) -> None:
        self.places = places
        width = PLAIN + BLOCKS * places + features
        self._networks = Networks(width, places, seed, decay=_DECAYS, prior=_SEEN_BEFORE)

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return self._networks.steps

    def observe(self, inputs: Inputs) -> None:
        """Follow mean and spread of the inputs, by which they are standardised."""
        self._networks.observe(_flat(inputs))

    def probabilities(self, inputs: Inputs, shares: Floats) -> Floats:
        """Of the first classes, float32 ``[n, C]``: the mean of the members.

        An edge is answered alike, to the byte, whichever others are asked for with it.

        Args:
            inputs: of n edges.
            shares: of the classes ``[C]``, greater than 0.
        """
        outputs = self._networks.outputs(self._networks.standard(_flat(inputs)))
        mean: Floats = _probabilities(outputs, shares).mean(axis=0)
        return mean

    def learn(self, inputs: Inputs, labels: Rows, shares: Floats) -> None:
        """Take a step on some of the examples, drawn alike for all members.

        Args:
            inputs: of n examples.
            labels: their classes ``[n]``.
            shares: of the classes known so far ``[C]``, greater than 0.
        """
        classes = len(shares)
        drawn = self._networks.drawn(len(labels), BATCH)
        x, y = self._networks.standard(_flat(inputs.part(drawn))), labels[drawn]
        hidden, outputs = self._networks.forward(x)
        probabilities = _probabilities(outputs, shares)
        target = np.eye(classes, dtype=np.float32)[y]
        target = (1 - TAUGHT) * target + TAUGHT * probabilities.mean(axis=0)
        slope = np.zeros((MEMBERS, BATCH, self.places), np.float32)
        slope[..., :classes] = (probabilities - target) / BATCH
        self._networks.descend(x, hidden, slope)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays, plain = self._networks.state()
        return arrays, plain | {"adds_to_shares": True}

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> Head:
        """The head that this was the :meth:`state` of."""
        head = cls(arrays["b2"].shape[-1], 0)
        head._networks.restore(arrays, values)
        return head

    def fits(self, places: int, features: int) -> bool:
        """Whether its inputs are those of edges with so many places for classes, and features."""
        return places == self.places and self._networks.width == PLAIN + BLOCKS * places + features


def _probabilities(outputs: Floats, shares: Floats) -> Floats:
    """Of the first classes ``[..., C]``."""
    logits = outputs[..., : len(shares)] + np.log(shares)
    grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = grown / grown.sum(axis=-1, keepdims=True)
    return probabilities


def _flat(inputs: Inputs) -> Doubles:
    """All inputs of each edge side by side."""
    blocks = inputs.blocks.reshape(len(inputs.plain), math.prod(inputs.blocks.shape[1:]))
    return np.concatenate([inputs.plain, blocks, inputs.features], axis=1, dtype=np.float64)
