"""What a practitioner would use instead: baselines that follow the same stream."""

from __future__ import annotations

from functools import partial

from service.evaluation.baselines.counting import Majority, Vote
from service.evaluation.baselines.edges import Build, EdgeBaseline
from service.evaluation.baselines.follower import BaselinePlayer, Rule
from service.evaluation.configurations import BASELINES, RIVER, WrongConfiguration


def baseline(name: str) -> BaselinePlayer:
    """The baseline of this name.

    Raises:
        WrongConfiguration: there is none, or what it needs is not installed.
    """
    rule = _rule(name)
    if name in {"gradient-boosting", "logistic-regression"}:
        return BaselinePlayer(rule, partial(EdgeBaseline, build=_edge_model(name)))
    return BaselinePlayer(rule)


def _rule(name: str) -> Rule:
    if name == "majority":
        return Majority()
    if name == "vote":
        return Vote()
    # scikit-learn and river take seconds to load, and are optional.
    if name in {"gradient-boosting", "logistic-regression"}:
        try:
            return _with_scikit_learn(name)
        except ImportError:
            raise WrongConfiguration(f"{name} needs scikit-learn: pip install 'olad[evaluate]'") from None
    if name.startswith(RIVER):
        from service.evaluation.baselines.river import RiverRule  # noqa: PLC0415

        return RiverRule(name.removeprefix(RIVER))
    raise WrongConfiguration(f"there is no baseline {name}: give one of {', '.join(BASELINES)}")


def _edge_model(name: str) -> Build:
    if name == "logistic-regression":
        from service.evaluation.baselines.regression import new_regression  # noqa: PLC0415

        return new_regression
    from service.evaluation.baselines.boosting import new_boosting  # noqa: PLC0415

    return new_boosting


def _with_scikit_learn(name: str) -> Rule:
    if name == "logistic-regression":
        from service.evaluation.baselines.regression import logistic_regression  # noqa: PLC0415

        return logistic_regression()
    from service.evaluation.baselines.boosting import gradient_boosting  # noqa: PLC0415

    return gradient_boosting()
