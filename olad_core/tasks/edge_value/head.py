"""The head: a group of small networks that predict three quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.tasks.edge_value.history import DISTANCES, LEVELS, PLAIN, Inputs
from olad_core.tasks.edge_value.units import Units

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MEMBERS = 4
"""Networks of the group."""
HIDDEN = 32
"""Hidden units of each."""
BATCH = 128
"""Examples of a step, drawn for each member."""
_QUANTILES = 3
_RATE, _DECAY, _BETA1, _BETA2, _SMALL = 2e-3, 1e-1, 0.9, 0.999, 1e-8
_FURTHEST = 5.0
"""Standardised inputs are clipped to this."""
_SEEN_BEFORE, _LEAST_VARIANCE = 100, 1e-4
_SMOOTH = 0.05
"""Within this distance the slope of the loss passes from one side to the other."""
_NORMAL = 1.2
"""Where the outer quantiles begin: about where 90 % of normal values lie, in the unit that is learned in."""
_WEIGHTS = ("w0", "w1", "b1", "w2", "b2")


class Head:
    """Members with a linear part and one hidden layer each, trained by AdamW on the pinball loss (Koenker 1978).

    Arrays are NumPy's and of one thread's order, so that the same calls give the same bytes.

    Args:
        coverage: share of the values between the outer quantiles; the middle one is the median.
        units: that are learned in.
        seed: of the weights and draws.
        features: of an edge, F.
    """

    def __init__(self, coverage: float, units: Units, seed: int, features: int = 0) -> None:
        self.units = units
        self.steps = 0
        share = (1 - coverage) / 2
        self._shares = np.array([share, 0.5, 1 - share], np.float32)
        self._random = np.random.Generator(np.random.PCG64(seed))
        width = LEVELS + DISTANCES + PLAIN + features
        self._sums = np.zeros((2, width))
        self._seen = 0
        draw = self._random.standard_normal
        self._values: dict[str, Floats] = {
            "w0": np.zeros((MEMBERS, width, _QUANTILES), np.float32),
            "w1": (draw((MEMBERS, width, HIDDEN)) / np.sqrt(width)).astype(np.float32),
            "b1": np.zeros((MEMBERS, 1, HIDDEN), np.float32),
            "w2": np.zeros((MEMBERS, HIDDEN, _QUANTILES), np.float32),
            "b2": np.tile(np.array([-_NORMAL, 0, _NORMAL], np.float32), (MEMBERS, 1, 1)),
        }
        self._moments = {name: np.zeros((2, *value.shape), np.float32) for name, value in self._values.items()}

    def observe(self, inputs: Inputs) -> None:
        """Follow mean and spread of the inputs, by which they are standardised."""
        flat = self._flat(inputs)
        self._sums += np.stack([flat.sum(axis=0), (flat**2).sum(axis=0)])
        self._seen += len(flat)

    def quantiles(self, inputs: Inputs) -> Doubles:
        """In the unit that is learned in, in order ``[n, 3]``: the mean of the members."""
        found = self._forward(self._standard(inputs)).quantiles.mean(axis=0).astype(np.float64)
        return np.sort(found, axis=1)

    def learn(self, inputs: Inputs, values: Doubles) -> None:
        """Take a step on some of the examples, drawn alike for all members.

        Args:
            inputs: of n examples.
            values: of them ``[n]``.
        """
        drawn = self._random.integers(len(values), size=BATCH)
        x, y = self._standard(inputs.part(drawn)), self.units.short(values[drawn]).astype(np.float32)
        passed = self._forward(x)
        side = np.clip((passed.quantiles - y[:, None]) / _SMOOTH, -1, 1)
        slope = (0.5 * side + 0.5 - self._shares) / BATCH
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
        arrays["input_sums"], arrays["units"] = self._sums.copy(), np.array(self.units)
        return arrays, {"steps": self.steps, "seen": self._seen, "random": self._random.bit_generator.state}

    @classmethod
    def from_state(
        cls, coverage: float, arrays: Mapping[str, npt.NDArray[np.generic]], values: Mapping[str, Any]
    ) -> Head:
        """The head that this was the :meth:`state` of."""
        units = Units(*arrays["units"].astype(np.float64).tolist())
        head = cls(coverage, units, 0, arrays["w0"].shape[1] - LEVELS - DISTANCES - PLAIN)
        head._values = {name: arrays[name].astype(np.float32) for name in _WEIGHTS}
        head._moments = {name: arrays[f"{name}_moments"].astype(np.float32) for name in _WEIGHTS}
        head._sums = arrays["input_sums"].astype(np.float64)
        head.steps, head._seen = values["steps"], values["seen"]
        head._random.bit_generator.state = values["random"]
        return head

    def _flat(self, inputs: Inputs) -> Doubles:
        """All inputs of each edge side by side, values in the unit that is learned in."""
        levels, distances = self.units.short(inputs.levels), self.units.short_distance(inputs.distances)
        return np.concatenate([levels, distances, inputs.plain, inputs.features], axis=1)

    def _standard(self, inputs: Inputs) -> Floats:
        mean, square = self._sums / max(1, self._seen)
        # As if some inputs of spread 1 had been seen before, so that the first ones are not taken for all there is.
        share = self._seen / (self._seen + _SEEN_BEFORE)
        spread = np.sqrt(share * np.maximum(square - mean**2, 0) + (1 - share) + _LEAST_VARIANCE)
        standard: Floats = np.clip((self._flat(inputs) - mean) / spread, -_FURTHEST, _FURTHEST).astype(np.float32)
        return standard

    def _forward(self, x: Floats) -> _Passed:
        values = self._values
        hidden = np.maximum(x @ values["w1"] + values["b1"], 0)
        return _Passed(hidden, x @ values["w0"] + hidden @ values["w2"] + values["b2"])

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
    quantiles: Floats
