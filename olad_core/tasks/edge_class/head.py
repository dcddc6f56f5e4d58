"""The head: a group of small networks that learn from each other, and answer with the mean of their probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.tasks.edge_class.history import BLOCKS, PLAIN, Inputs

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MEMBERS = 4
"""Networks of the group."""
HIDDEN = 32
"""Hidden units of each."""
BATCH = 128
"""Examples of a step, drawn for each member."""
TAUGHT = 0.3
"""Share of the group's mean in what each member learns: distillation by KL divergence (Hinton et al. 2015)."""
_DECAYS = np.array([0.1, 0.1, 5.0, 5.0], np.float32)[:, None, None]
"""Decay of each member's weights: where labels are few the members with more of it are better, else the others."""
_RATE, _BETA1, _BETA2, _SMALL = 2e-3, 0.9, 0.999, 1e-8
_FURTHEST = 5.0
"""Standardised inputs are clipped to this."""
_AT_ONCE = 64
"""Edges whose answers are computed together."""
_SEEN_BEFORE, _LEAST_VARIANCE = 100, 1e-4
_WEIGHTS = ("w0", "w1", "b1", "w2", "b2")


class Head:
    """Members with a linear part and one hidden layer each, trained by AdamW (Loshchilov and Hutter 2019).

    Their output is added to the logarithms of the shares of the classes. So a head that has learned nothing gives
    these shares, and a class that is rare need not be learned to be rare.

    Arrays are NumPy's and of one thread's order, so that the same calls give the same bytes.

    Args:
        places: for classes, K.
        seed: of the weights and draws.
        features: of an edge, F.
    """

    def __init__(self, places: int, seed: int, features: int = 0) -> None:
        self.places = places
        self.steps = 0
        self._random = np.random.Generator(np.random.PCG64(seed))
        width = PLAIN + BLOCKS * places + features
        self._sums = np.zeros((2, width))
        self._seen = 0
        draw = self._random.standard_normal
        self._values: dict[str, Floats] = {
            "w0": np.zeros((MEMBERS, width, places), np.float32),
            "w1": (draw((MEMBERS, width, HIDDEN)) / np.sqrt(width)).astype(np.float32),
            "b1": np.zeros((MEMBERS, 1, HIDDEN), np.float32),
            "w2": np.zeros((MEMBERS, HIDDEN, places), np.float32),
            "b2": np.zeros((MEMBERS, 1, places), np.float32),
        }
        self._moments = {name: np.zeros((2, *value.shape), np.float32) for name, value in self._values.items()}

    def observe(self, inputs: Inputs) -> None:
        """Follow mean and spread of the inputs, by which they are standardised."""
        flat = _flat(inputs).astype(np.float64)
        self._sums += np.stack([flat.sum(axis=0), (flat**2).sum(axis=0)])
        self._seen += len(flat)

    def probabilities(self, inputs: Inputs, shares: Floats) -> Floats:
        """Of the first classes, float32 ``[n, C]``: the mean of the members.

        An edge is answered alike, to the byte, whichever others are asked for with it.

        Args:
            inputs: of n edges.
            shares: of the classes ``[C]``, greater than 0.
        """
        standard = self._standard(inputs)
        # The order of a product's sums depends on its shape, so all products have one shape.
        blocks = np.pad(standard, ((0, -len(standard) % _AT_ONCE), (0, 0))).reshape(-1, _AT_ONCE, standard.shape[1])
        found = [self._forward(block, shares).probabilities.mean(axis=0) for block in blocks]
        return np.concatenate([np.empty((0, len(shares)), np.float32), *found])[: len(standard)]

    def learn(self, inputs: Inputs, labels: Rows, shares: Floats) -> None:
        """Take a step on some of the examples, drawn alike for all members.

        Args:
            inputs: of n examples.
            labels: their classes ``[n]``.
            shares: of the classes known so far ``[C]``, greater than 0.
        """
        classes = len(shares)
        drawn = self._random.integers(len(labels), size=BATCH)
        x, y = self._standard(inputs.part(drawn)), labels[drawn]
        passed = self._forward(x, shares)
        target = np.eye(classes, dtype=np.float32)[y]
        target = (1 - TAUGHT) * target + TAUGHT * passed.probabilities.mean(axis=0)
        slope = np.zeros((MEMBERS, BATCH, self.places), np.float32)
        slope[..., :classes] = (passed.probabilities - target) / BATCH
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

    def state(self) -> tuple[dict[str, npt.NDArray[np.generic]], dict[str, object]]:
        """Arrays and plain values for a checkpoint."""
        arrays: dict[str, npt.NDArray[np.generic]] = {name: value.copy() for name, value in self._values.items()}
        arrays |= {f"{name}_moments": value.copy() for name, value in self._moments.items()}
        arrays["input_sums"] = self._sums.copy()
        plain = {"steps": self.steps, "seen": self._seen, "random": self._random.bit_generator.state}
        return arrays, plain | {"adds_to_shares": True}

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[np.generic]], values: Mapping[str, Any]) -> Head:
        """The head that this was the :meth:`state` of."""
        head = cls(arrays["b2"].shape[-1], 0)
        head._values = {name: arrays[name].astype(np.float32) for name in _WEIGHTS}
        head._moments = {name: arrays[f"{name}_moments"].astype(np.float32) for name in _WEIGHTS}
        head._sums = arrays["input_sums"].astype(np.float64)
        head.steps, head._seen = values["steps"], values["seen"]
        head._random.bit_generator.state = values["random"]
        return head

    def fits(self, places: int, features: int) -> bool:
        """Whether its inputs are those of edges with so many places for classes, and features."""
        return places == self.places and self._sums.shape[1] == PLAIN + BLOCKS * places + features

    def _standard(self, inputs: Inputs) -> Floats:
        mean, square = self._sums / max(1, self._seen)
        # As if some inputs of spread 1 had been seen before, so that the first ones are not taken for all there is.
        share = self._seen / (self._seen + _SEEN_BEFORE)
        spread = np.sqrt(share * np.maximum(square - mean**2, 0) + (1 - share) + _LEAST_VARIANCE)
        standard: Floats = np.clip((_flat(inputs) - mean) / spread, -_FURTHEST, _FURTHEST).astype(np.float32)
        return standard

    def _forward(self, x: Floats, shares: Floats) -> _Passed:
        values = self._values
        hidden = np.maximum(x @ values["w1"] + values["b1"], 0)
        moved = x @ values["w0"] + hidden @ values["w2"] + values["b2"]
        logits = moved[..., : len(shares)] + np.log(shares)
        grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return _Passed(hidden, grown / grown.sum(axis=-1, keepdims=True))

    def _descend(self, slopes: Mapping[str, Floats]) -> None:
        self.steps += 1
        for name, slope in slopes.items():
            first, second = self._moments[name]
            first += (1 - _BETA1) * (slope - first)
            second += (1 - _BETA2) * (slope**2 - second)
            step = first / (1 - _BETA1**self.steps) / (np.sqrt(second / (1 - _BETA2**self.steps)) + _SMALL)
            kept = _DECAYS * self._values[name] if name.startswith("w") else 0
            self._values[name] -= np.float32(_RATE) * (step + kept)


class _Passed(NamedTuple):
    hidden: Floats
    probabilities: Floats


def _flat(inputs: Inputs) -> Floats:
    """All inputs of each edge side by side."""
    blocks = inputs.blocks.reshape(len(inputs.plain), math.prod(inputs.blocks.shape[1:]))
    return np.concatenate([inputs.plain, blocks, inputs.features], axis=1)
