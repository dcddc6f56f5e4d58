"""A group of small networks over the same inputs: their standardisation, forward pass, gradient steps and state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from olad_core.graph.compiled import compiled

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MEMBERS = 4
"""Networks of a group."""
HIDDEN = 32
"""Hidden units of each."""
_RATE, _BETA1, _BETA2, _SMALL = 2e-3, 0.9, 0.999, 1e-8
_FURTHEST = 5.0
"""Standardised inputs are clipped to this."""
_LEAST_VARIANCE = 1e-4
_WEIGHTS = ("w0", "w1", "b1", "w2", "b2")


class Passed(NamedTuple):
    """What a forward pass of n examples gives.

    Attributes:
        hidden: ``[MEMBERS, n, HIDDEN]``.
        outputs: ``[MEMBERS, n, K]``.
    """

    hidden: Floats
    outputs: Floats


class Networks:
    """Members with a linear part and one hidden layer each, trained by AdamW (Loshchilov and Hutter 2019).

    Arrays are NumPy's and of one thread's order, so that the same calls give the same bytes.

    Args:
        width: inputs of an example, F.
        outputs: of a member, K.
        seed: of the weights and draws.
        decay: of the weights: one number, or one of each member ``[MEMBERS, 1, 1]``.
        prior: examples with inputs of spread 1 that are taken to have been seen before, so that the first ones are
            not taken for all there is.
        first_outputs: of a group that has learned nothing ``[K]``; zeros where none are given.
    """

    def __init__(
        self,
        width: int,
        outputs: int,
        seed: int,
        *,
        decay: float | Floats,
        prior: int = 0,
        first_outputs: Floats | None = None,
    ) -> None:
        self.steps = 0
        """Steps that were taken."""
        self._decay, self._prior = decay, prior
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._sums = np.zeros((2, width))
        self._seen = 0
        begin = np.zeros(outputs, np.float32) if first_outputs is None else first_outputs
        self._values: dict[str, Floats] = {
            "w0": np.zeros((MEMBERS, width, outputs), np.float32),
            "w1": (self._random.standard_normal((MEMBERS, width, HIDDEN)) / np.sqrt(width)).astype(np.float32),
            "b1": np.zeros((MEMBERS, 1, HIDDEN), np.float32),
            "w2": np.zeros((MEMBERS, HIDDEN, outputs), np.float32),
            "b2": np.tile(begin, (MEMBERS, 1, 1)),
        }
        self._moments = {name: np.zeros((2, *value.shape), np.float32) for name, value in self._values.items()}

    @property
    def width(self) -> int:
        """Inputs of an example, F."""
        return self._sums.shape[1]

    def observe(self, inputs: Floats | Doubles) -> None:
        """Follow mean and spread of inputs ``[n, F]``, by which they are standardised."""
        exact = inputs.astype(np.float64, copy=False)
        self._sums += np.stack([exact.sum(axis=0), (exact**2).sum(axis=0)])
        self._seen += len(exact)

    def standard(self, inputs: Floats | Doubles) -> Floats:
        """Inputs ``[n, F]`` of mean 0 and spread 1, computed in the precision in which they are given."""
        mean, square = self._sums / max(1, self._seen)
        share = self._seen / max(1, self._seen + self._prior)
        spread = np.sqrt(share * np.maximum(square - mean**2, 0) + (1 - share) + _LEAST_VARIANCE)
        moved = (inputs - mean.astype(inputs.dtype)) / spread.astype(inputs.dtype)
        standard: Floats = np.clip(moved, -_FURTHEST, _FURTHEST).astype(np.float32, copy=False)
        return standard

    def drawn(self, examples: int, batch: int) -> Rows:
        """Numbers of the examples of a step, alike for all members ``[batch]``."""
        return self._random.integers(examples, size=batch)

    def forward(self, x: Floats) -> Passed:
        """Hidden units and outputs of standardised inputs ``[n, F]``."""
        values = self._values
        hidden = np.maximum(x @ values["w1"] + values["b1"], 0)
        return Passed(hidden, x @ values["w0"] + hidden @ values["w2"] + values["b2"])

    def outputs(self, x: Floats) -> Floats:
        """Outputs of standardised inputs ``[n, F]`` by each member ``[MEMBERS, n, K]``.

        An example has the same bytes whatever others are computed with it. In a product of matrices it has not: which
        sums are rounded how depends on its place.
        """
        values = self._values
        found: Floats = np.empty((MEMBERS, len(x), values["b2"].shape[2]), np.float32)
        hidden: Floats = np.empty(HIDDEN, np.float32)
        weights = values["w0"], values["w1"], values["b1"], values["w2"], values["b2"]
        _pass(np.ascontiguousarray(x), *weights, hidden, found)
        return found

    def descend(self, x: Floats, hidden: Floats, slope: Floats) -> None:
        """Take a step of AdamW.

        Args:
            x: standardised inputs ``[n, F]``.
            hidden: of the forward pass of these.
            slope: of the loss in the outputs ``[MEMBERS, n, K]``.
        """
        back = (slope @ self._values["w2"].transpose(0, 2, 1)) * (hidden > 0)
        slopes = {
            "w2": hidden.transpose(0, 2, 1) @ slope,
            "b2": slope.sum(axis=1, keepdims=True),
            "w0": x.T @ slope,
            "w1": x.T @ back,
            "b1": back.sum(axis=1, keepdims=True),
        }
        self.steps += 1
        for name, each in slopes.items():
            first, second = self._moments[name]
            first += (1 - _BETA1) * (each - first)
            second += (1 - _BETA2) * (each**2 - second)
            step = first / (1 - _BETA1**self.steps) / (np.sqrt(second / (1 - _BETA2**self.steps)) + _SMALL)
            kept = self._decay * self._values[name] if name.startswith("w") else 0
            self._values[name] -= np.float32(_RATE) * (step + kept)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays: dict[str, npt.NDArray[Any]] = {name: value.copy() for name, value in self._values.items()}
        arrays |= {f"{name}_moments": value.copy() for name, value in self._moments.items()}
        arrays["input_sums"] = self._sums.copy()
        return arrays, {"steps": self.steps, "seen": self._seen, "random": self._random.bit_generator.state}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take over the :meth:`state`, of which the widths are taken too."""
        self._values = {name: arrays[name].astype(np.float32) for name in _WEIGHTS}
        self._moments = {name: arrays[f"{name}_moments"].astype(np.float32) for name in _WEIGHTS}
        self._sums = arrays["input_sums"].astype(np.float64)
        self.steps, self._seen = values["steps"], values["seen"]
        self._random.bit_generator.state = values["random"]


@compiled
def _pass(x: Floats, w0: Floats, w1: Floats, b1: Floats, w2: Floats, b2: Floats, hidden: Floats, out: Floats) -> None:
    for member in range(out.shape[0]):
        for at in range(x.shape[0]):
            for unit in range(hidden.size):
                hidden[unit] = b1[member, 0, unit]
            for to in range(out.shape[2]):
                out[member, at, to] = b2[member, 0, to]
            for column in range(x.shape[1]):
                value = x[at, column]
                for unit in range(hidden.size):
                    hidden[unit] += value * w1[member, column, unit]
                for to in range(out.shape[2]):
                    out[member, at, to] += value * w0[member, column, to]
            for unit in range(hidden.size):
                if hidden[unit] > 0:
                    for to in range(out.shape[2]):
                        out[member, at, to] += hidden[unit] * w2[member, unit, to]
