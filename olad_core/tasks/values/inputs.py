"""What a model of values reads of a task's inputs."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from olad_core.tasks.values.units import Units

Rows = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


class ValueInputs(Protocol):
    """The inputs of n predictions."""

    def part(self, places: Rows) -> Self:
        """Those of some of them."""

    def flat(self, units: Units) -> Doubles:
        """All inputs of each prediction side by side ``[n, F]``, values in the unit that is learned in."""

    def guesses(self, usual: float) -> Doubles:
        """Simple predictions ``[n, G]``, which the answer is weighed with.

        Args:
            usual: the median of the last values, where nothing else is known.
        """


Inputs_co = TypeVar("Inputs_co", bound=ValueInputs, covariant=True)


class Remembered(Protocol[Inputs_co]):
    """The examples that a task remembers.

    Attributes:
        value: of each example ``[n]``, NaN where it is not known.
    """

    value: Doubles

    def inputs(self, places: Rows) -> Inputs_co:
        """The inputs of some of them."""
