"""The scorer: a group of small networks that learn from each other, and score pairs by their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.tasks.networks import Networks

Floats = npt.NDArray[np.float32]

TAUGHT = 0.3
"""Share of the group's mean in what each member learns (Hinton et al. 2015)."""
_DECAY = 1e-2


class Scorer:
    """A group whose one output is the logit of a score.

    A score is the probability that a pair is the one that was linked, and not a random one, at even odds: the logistic
    loss counts one edge like all of its negatives together.

    Args:
        width: inputs of a pair, F.
        seed: of the weights and draws.
    """

    def __init__(self, width: int, seed: int) -> None:
        self._networks = Networks(width, 1, seed, decay=_DECAY)

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return self._networks.steps

    def observe(self, inputs: Floats) -> None:
        """Follow mean and spread of inputs ``[..., F]``, by which they are standardised."""
        self._networks.observe(inputs.reshape(-1, inputs.shape[-1]))

    def scores(self, inputs: Floats) -> Floats:
        """Scores of pairs ``[...]`` of inputs ``[..., F]``: the mean of the members."""
        x = self._networks.standard(inputs.reshape(-1, inputs.shape[-1]))
        mean: Floats = _probabilities(self._networks.forward(x).outputs).mean(axis=0)
        return mean.reshape(inputs.shape[:-1])

    def learn(self, inputs: Floats, batch: int) -> None:
        """Take a step on some of the edges, drawn alike for all members.

        Args:
            inputs: ``[n, 1 + S, F]``, those of each edge, then those of its negatives.
            batch: edges that are drawn.
        """
        drawn = inputs[self._networks.drawn(len(inputs), batch)]
        edges, pairs, width = drawn.shape
        x = self._networks.standard(drawn.reshape(-1, width))
        hidden, outputs = self._networks.forward(x)
        scores = _probabilities(outputs)
        linked = np.zeros((edges, pairs), np.float32)
        linked[:, 0] = 1
        target = (1 - TAUGHT) * linked.ravel() + TAUGHT * scores.mean(axis=0)
        share = np.full((edges, pairs), 1 / (pairs - 1), np.float32)
        share[:, 0] = 1
        self._networks.descend(x, hidden, ((scores - target) * share.ravel() / (2 * edges))[..., None])

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        return self._networks.state()

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`."""
        self._networks.restore(arrays, values)


def _probabilities(outputs: Floats) -> Floats:
    """Of logits ``[..., 1]``."""
    return (1 / (1 + np.exp(-np.clip(outputs[..., 0], -30, 30)))).astype(np.float32, copy=False)
