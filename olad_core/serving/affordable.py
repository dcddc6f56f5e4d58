"""Which choices may be served at the present load, and what keeps the group from being served."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from olad_core.config import GROUP
from olad_core.serving.choice import Candidates
from olad_core.serving.load import Load

Withheld = Literal["first", "memory", "load", "quiet", "score"]
"""Why the group is not served: the first version is a student; there is no memory for it; events come too fast for it;
they did lately; it is not expected to be enough better."""

WITHHELD_FOR_NOW: tuple[Withheld, ...] = ("memory", "load", "quiet")
"""Those that pass without another score."""


def affordable(candidates: Candidates, load: Load, served: str | None) -> npt.NDArray[np.bool_]:
    """Which choices ``[K]`` keep to the freshness target at the present load; all students where none of them does.

    Args:
        candidates: to choose from.
        load: as it was measured.
        served: name of what is served; None where it is none of them.
    """
    allowed = load.allowed(candidates.choices, served)
    students = len(candidates.names)
    if not allowed[:students].any():
        allowed[:students] = True
    return allowed


def withheld_by(candidates: Candidates, load: Load, chosen: str, served: str | None) -> Withheld | None:
    """Why something else than the group was chosen; None where the group was.

    Args:
        candidates: that were to choose from.
        load: as it was measured.
        chosen: what was chosen.
        served: name of what was served before; None where it was none of them.
    """
    if chosen == GROUP:
        return None
    if candidates.combination is None:
        return "memory"
    if load.exceeds(GROUP):
        return "load"
    if load.measured and not load.was_quiet([GROUP]).all():
        return "quiet"
    return "first" if served is None else "score"


def expected_gain(candidates: Candidates) -> float | None:
    """By how much the group is expected to score better than the best student; None where that is not known."""
    standing = candidates.standing
    if candidates.combination is None or not np.isfinite(standing).all():
        return None
    return float(standing[-1] - standing[:-1].max())
