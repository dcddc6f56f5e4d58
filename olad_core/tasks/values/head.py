"""The head: a group of small networks that predict three quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.tasks.networks import Networks
from olad_core.tasks.values.inputs import ValueInputs
from olad_core.tasks.values.units import Units

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BATCH = 128
"""Examples of a step, drawn for each member."""
RECENT = 300
"""Half of the examples of a step are drawn from so many, those whose values came last."""
_DECAY, _SEEN_BEFORE = 1e-1, 100
_SMOOTH = 0.05
"""Within this distance the slope of the loss passes from one side to the other."""
_NORMAL = 1.2
"""Where the outer quantiles begin: about where 90 % of normal values lie, in the unit that is learned in."""
_FIRST = np.array([-_NORMAL, 0, _NORMAL], np.float32)


class Head:
    """A group whose outputs are quantiles, trained on the pinball loss (Koenker 1978).

    Args:
        coverage: share of the values between the outer quantiles; the middle one is the median.
        units: that are learned in.
        seed: of the weights and draws.
        width: of the inputs, F.
    """

    def __init__(self, coverage: float, units: Units, seed: int, width: int) -> None:
        self.units = units
        share = (1 - coverage) / 2
        self._shares = np.array([share, 0.5, 1 - share], np.float32)
        self._networks = Networks(width, len(_FIRST), seed, decay=_DECAY, prior=_SEEN_BEFORE, first_outputs=_FIRST)

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return self._networks.steps

    @property
    def width(self) -> int:
        """Inputs of an example, F."""
        return self._networks.width

    def observe(self, inputs: ValueInputs) -> None:
        """Follow mean and spread of the inputs, by which they are standardised."""
        self._networks.observe(inputs.flat(self.units))

    def quantiles(self, inputs: ValueInputs) -> Doubles:
        """In the unit that is learned in, in order ``[n, 3]``: the mean of the members.

        An example is answered alike, to the byte, whichever others are asked for with it.
        """
        x = self._networks.standard(inputs.flat(self.units))
        return np.sort(self._networks.outputs(x).mean(axis=0).astype(np.float64), axis=1)

    def learn(self, inputs: ValueInputs, values: Doubles) -> None:
        """Take a step on some of the examples, drawn alike for all members.

        Args:
            inputs: of n examples, in the order in which their values came.
            values: of them ``[n]``.
        """
        drawn = self._networks.drawn(len(values), BATCH)
        # Half of them are among the last, so that what drifts is followed.
        drawn[: BATCH // 2] = len(values) - 1 - drawn[: BATCH // 2] % min(RECENT, len(values))
        x = self._networks.standard(inputs.part(drawn).flat(self.units))
        y = self.units.short(values[drawn]).astype(np.float32)
        hidden, quantiles = self._networks.forward(x)
        side = np.clip((quantiles - y[:, None]) / _SMOOTH, -1, 1)
        self._networks.descend(x, hidden, (0.5 * side + 0.5 - self._shares) / BATCH)

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Arrays and plain values for a checkpoint."""
        arrays, plain = self._networks.state()
        return arrays | {"units": np.array(self.units)}, plain

    @classmethod
    def from_state(cls, coverage: float, arrays: Mapping[str, npt.NDArray[Any]], values: Mapping[str, Any]) -> Head:
        """The head that this was the :meth:`state` of."""
        units = Units(*arrays["units"].astype(np.float64).tolist())
        head = cls(coverage, units, 0, arrays["input_sums"].shape[1])
        head._networks.restore(arrays, values)
        return head
