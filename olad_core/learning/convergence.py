"""When training may rest: the losses have stopped falling since the last new information."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from olad_core.step_size import StepSize, learning_rate_of

WINDOW = 50
"""Steps of the configured size over which the loss is averaged before it is compared."""
PATIENCE = 6
"""Windows in a row without a lower loss after which training has converged. Accuracy on nodes without a label still
rises for two or three hundred steps after the training loss has stopped falling: those are part of it."""
NOISE = 2.0
"""A mean loss is lower only where the difference is more than so many of its standard errors."""
MOST_STEPS = 1_000
"""Steps of the configured size for the same information at most: a loss may fall by a little for ever."""
MOST_RESTARTS = 3
"""Times that new weights get the whole budget again for the same information: a fault that repeats must end too."""


@dataclass
class _Window:
    """Losses of some steps: their number and weight, their mean, the sum of squared differences from it."""

    count: int = 0
    weight: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, loss: float, weight: float) -> None:
        self.count += 1
        self.weight += weight
        change = loss - self.mean
        self.mean += change / self.count
        self.squares += change * (loss - self.mean)

    def variance_of_mean(self) -> float:
        return self.squares / max(1, self.count - 1) / self.count


class Convergence:
    """Early stopping with patience, begun again whenever new information comes.

    A smaller step counts for less, as its learning rate does.

    >>> from olad_core.step_size import FULL_SIZE
    >>> convergence = Convergence()
    >>> for _ in range(WINDOW * (PATIENCE + 1)):
    ...     convergence.begin_step(FULL_SIZE)
    ...     convergence.follow(0.1, FULL_SIZE)
    >>> convergence.reached
    True
    >>> convergence.renew()
    >>> convergence.reached
    False
    """

    def __init__(self) -> None:
        self._restarts = 0
        self._exhausted = False
        self._steps = 0.0
        # Mean of the lowest window so far with the variance of that mean, and how many windows have passed since it.
        self._lowest: list[float] | None = None
        self._stale = 0
        self._window = _Window()

    @property
    def reached(self) -> bool:
        """Whether further steps are of no use before new information comes."""
        return self._exhausted or self._steps >= MOST_STEPS or self._stale >= PATIENCE

    def renew(self) -> None:
        """New information has come: a whole budget of steps."""
        self._restarts = 0
        self._exhausted = False
        self._begin()

    def restart(self) -> None:
        """Weights begin anew with the same information: a whole budget for them, but not any number of times."""
        self._restarts += 1
        if self._restarts <= MOST_RESTARTS:
            self._begin()
        else:
            self._exhausted = True

    def exhaust(self) -> None:
        """There is nothing to learn from."""
        self._exhausted = True

    def begin_step(self, size: StepSize) -> None:
        """A step is tried; it counts whatever comes of it."""
        self._steps += learning_rate_of(1.0, size)

    def follow(self, loss: float, size: StepSize) -> None:
        """Take in the loss of one step; one that is not finite is left out."""
        if not math.isfinite(loss):
            return
        window = self._window
        window.add(loss, learning_rate_of(1.0, size))
        if window.weight >= WINDOW:
            self._compare(window.mean, window.variance_of_mean())
            self._window = _Window()

    def state(self) -> dict[str, object]:
        """Plain values for a checkpoint."""
        return {
            "steps": self._steps,
            "restarts": self._restarts,
            "exhausted": self._exhausted,
            "lowest": self._lowest,
            "stale": self._stale,
            "window": asdict(self._window),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the values of :meth:`state`."""
        self._steps, self._restarts = float(state["steps"]), int(state["restarts"])
        self._exhausted = bool(state["exhausted"])
        self._lowest, self._stale = state["lowest"], int(state["stale"])
        self._window = _Window(**state["window"])

    def _begin(self) -> None:
        self._steps, self._lowest, self._stale, self._window = 0.0, None, 0, _Window()

    def _compare(self, mean: float, variance: float) -> None:
        lowest = self._lowest
        if lowest is None or mean < lowest[0] - NOISE * math.sqrt(variance + lowest[1]):
            self._lowest, self._stale = [mean, variance], 0
        else:
            self._stale += 1
