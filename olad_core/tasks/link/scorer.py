"""The scorer: a group of small networks that learn from each other, and score pairs by their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MEMBERS = 4
"""Networks of the group."""
HIDDEN = 32
"""Hidden units of each."""
TAUGHT = 0.3
"""Share of the group's mean in what each member learns (Hinton et al. 2015)."""
_RATE, _DECAY, _BETA1, _BETA2, _SMALL = 2e-3, 1e-2, 0.9, 0.999, 1e-8
_FURTHEST = 5.0
"""Standardised inputs are clipped to this."""
_LEAST_VARIANCE = 1e-4
_WEIGHTS = ("w0", "w1", "b1", "w2", "b2")


class Scorer:
    """Members with a linear part and one hidden layer each, trained by AdamW (Loshchilov and Hutter 2019).

    A score is the probability that a pair is the one that was linked, and not a random one, at even odds: the logistic
    loss counts one edge like all of its negatives together.

    Args:
        width: inputs of a pair, F.
        seed: of the weights and draws.
    """

    def __init__(self, width: int, seed: int) -> None:
        self.steps = 0
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._sums = np.zeros((2, width))
        self._seen = 0
        draw = self._random.standard_normal
        self._values: dict[str, Floats] = {
            "w0": np.zeros((MEMBERS, width, 1), np.float32),
            "w1": (draw((MEMBERS, width, HIDDEN)) / np.sqrt(width)).astype(np.float32),
            "b1": np.zeros((MEMBERS, 1, HIDDEN), np.float32),
            "w2": np.zeros((MEMBERS, HIDDEN, 1), np.float32),
            "b2": np.zeros((MEMBERS, 1, 1), np.float32),
        }
        self._moments = {name: np.zeros((2, *value.shape), np.float32) for name, value in self._values.items()}

    def observe(self, inputs: Floats) -> None:
        """Follow mean and spread of inputs ``[..., F]``, by which they are standardised."""
        flat = inputs.reshape(-1, inputs.shape[-1]).astype(np.float64)
        self._sums += np.stack([flat.sum(axis=0), (flat**2).sum(axis=0)])
        self._seen += len(flat)

    def scores(self, inputs: Floats) -> Floats:
        """Scores of pairs ``[...]`` of inputs ``[..., F]``: the mean of the members."""
        flat = inputs.reshape(-1, inputs.shape[-1])
        mean: Floats = self._forward(self._standard(flat)).scores.mean(axis=0)
        return mean.reshape(inputs.shape[:-1])

    def learn(self, inputs: Floats, batch: int) -> None:
        """Take a step on some of the edges, drawn alike for all members.

        Args:
            inputs: ``[n, 1 + S, F]``, those of each edge, then those of its negatives.
            batch: edges that are drawn.
        """
        drawn = inputs[self._random.integers(len(inputs), size=batch)]
        edges, pairs, width = drawn.shape
        x = self._standard(drawn.reshape(-1, width))
        passed = self._forward(x)
        linked = np.zeros((edges, pairs), np.float32)
        linked[:, 0] = 1
        target = (1 - TAUGHT) * linked.ravel() + TAUGHT * passed.scores.mean(axis=0)
        share = np.full((edges, pairs), 1 / (pairs - 1), np.float32)
        share[:, 0] = 1
        slope = ((passed.scores - target) * share.ravel() / (2 * edges))[..., None]
        back = (slope @ self._values["w2"].transpose(0, 2, 1)) * (passed.hidden > 0)
        self._descend(
            {
                "w2": passed.hidden.transpose(0, 2, 1) @ slope,
                "b2": slope.sum(axis=1, keepdims=True),
                "w0": x.T @ slope,
                "w1": x.T @ back,
                "b1": back.sum(axis=1, keepdims=True),
            }
        )

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays: dict[str, npt.NDArray[Any]] = {name: value.copy() for name, value in self._values.items()}
        arrays |= {f"{name}_moments": value.copy() for name, value in self._moments.items()}
        arrays["input_sums"] = self._sums.copy()
        return arrays, {"steps": self.steps, "seen": self._seen, "random": self._random.bit_generator.state}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`."""
        self._values = {name: arrays[name].astype(np.float32) for name in _WEIGHTS}
        self._moments = {name: arrays[f"{name}_moments"].astype(np.float32) for name in _WEIGHTS}
        self._sums = arrays["input_sums"].astype(np.float64)
        self.steps, self._seen = values["steps"], values["seen"]
        self._random.bit_generator.state = values["random"]

    def _standard(self, flat: Floats) -> Floats:
        mean, square = self._sums / max(1, self._seen)
        spread = np.sqrt(np.maximum(square - mean**2, 0) + _LEAST_VARIANCE)
        standard: Floats = np.clip((flat - mean.astype(np.float32)) / spread.astype(np.float32), -_FURTHEST, _FURTHEST)
        return standard

    def _forward(self, x: Floats) -> _Passed:
        values = self._values
        hidden = np.maximum(x @ values["w1"] + values["b1"], 0)
        logits = (x @ values["w0"] + hidden @ values["w2"] + values["b2"])[..., 0]
        return _Passed(hidden, 1 / (1 + np.exp(-np.clip(logits, -30, 30))))

    def _descend(self, slopes: Mapping[str, Floats]) -> None:
        self.steps += 1
        for name, slope in slopes.items():
            first, second = self._moments[name]
            first += (1 - _BETA1) * (slope - first)
            second += (1 - _BETA2) * (slope**2 - second)
            step = first / (1 - _BETA1**self.steps) / (np.sqrt(second / (1 - _BETA2**self.steps)) + _SMALL)
            kept = _DECAY * self._values[name] if name.startswith("w") else 0
            self._values[name] -= np.float32(_RATE) * (step + kept)


class _Passed(NamedTuple):
    hidden: Floats
    scores: Floats


"""``[members, n, hidden]``, and ``[members, n]``."""
