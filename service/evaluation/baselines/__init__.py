"""What a practitioner would use instead: baselines that follow the same stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from olad_core.task_types import NodeValueTask
from service.evaluation.baselines.counting import Majority, Vote
from service.evaluation.baselines.edges import Build, EdgeBaseline
from service.evaluation.baselines.follower import BaselinePlayer, Rule
from service.evaluation.baselines.values import (
    MeanValue,
    NeighbourValues,
    NodeValueBaseline,
    RetrainedValues,
    ValueRule,
)
from service.evaluation.configurations import BASELINES, RIVER, WrongConfiguration


def baseline(name: str) -> BaselinePlayer:
    """The baseline of this name.

    Raises:
        WrongConfiguration: there is none, or what it needs is not installed.
    """
    rule = _rule(name)
    if name in {"gradient-boosting", "logistic-regression"}:
        return BaselinePlayer(rule, partial(EdgeBaseline, build=_edge_model(name)), _of_values(name))
    return BaselinePlayer(rule, of_values=_of_values(name))


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


def _of_values(name: str) -> Callable[[str, NodeValueTask], NodeValueBaseline] | None:
    """What makes the baseline of this name for a task on values of nodes; None where there is none."""
    new_rule = _value_rule(name)
    return None if new_rule is None else lambda task, declared: NodeValueBaseline(task, declared, new_rule())


def _value_rule(name: str) -> Callable[[], ValueRule] | None:
    if name == "majority":
        return MeanValue
    if name == "vote":
        return NeighbourValues
    if name != "gradient-boosting":
        return None
    from service.evaluation.baselines.boosting import new_value_boosting  # noqa: PLC0415

    return partial(RetrainedValues, new_value_boosting)


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
