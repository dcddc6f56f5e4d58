"""What a practitioner would use instead: baselines that follow the same stream."""

from __future__ import annotations

from service.evaluation.baselines.counting import Majority, Vote
from service.evaluation.baselines.follower import BaselinePlayer, Rule
from service.evaluation.configurations import WrongConfiguration

RIVER = "river:"
NAMES = ("vote", "majority", "gradient-boosting", f"{RIVER}NAME")
"""What ``--baseline`` takes."""


def baseline(name: str) -> BaselinePlayer:
    """The baseline of this name.

    Raises:
        WrongConfiguration: there is none, or what it needs is not installed.
    """
    return BaselinePlayer(_rule(name))


def _rule(name: str) -> Rule:
    if name == "majority":
        return Majority()
    if name == "vote":
        return Vote()
    # scikit-learn and river take seconds to load, and are optional.
    if name == "gradient-boosting":
        try:
            from service.evaluation.baselines.boosting import GradientBoosting  # noqa: PLC0415
        except ImportError:
            raise WrongConfiguration("gradient-boosting needs scikit-learn: pip install 'olad[evaluate]'") from None
        return GradientBoosting()
    if name.startswith(RIVER):
        from service.evaluation.baselines.river import RiverRule  # noqa: PLC0415

        return RiverRule(name.removeprefix(RIVER))
    raise WrongConfiguration(f"there is no baseline {name}: give one of {', '.join(NAMES)}")
