"""The methods that are compared: each is a name and how it differs from the shipped engine.

>>> METHODS["trees"].about
"gradient boosting on features, degree and neighbours' labels"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.learning.configuration import Override, configured
from benchmarks.learning.learners import EngineLearner, Learner
from benchmarks.learning.scratch import PlainGroup, Retrained
from benchmarks.learning.tables import TableLearner
from benchmarks.learning.trainers import AllTeach, FrozenTeach, OthersTeach, SelfTeach
from olad_core.config import EngineConfig, TrainerConfig
from olad_core.learning.trainer import Trainer
from service.evaluation.baselines.boosting import gradient_boosting, informed_boosting
from service.evaluation.baselines.counting import Vote
from service.evaluation.baselines.follower import Rule
from service.evaluation.baselines.regression import logistic_regression
from service.evaluation.baselines.river import RiverRule


@dataclass(frozen=True)
class Method:
    """A way to learn.

    Attributes:
        about: one line for people.
        build: a learner that follows this configuration.
        for_splits: whether it is for the public splits alone.
    """

    about: str
    build: Callable[[EngineConfig, torch.device], Learner]
    for_splits: bool = False


def _with(
    trainer_type: type[Trainer] = Trainer, **changes: Override
) -> Callable[[EngineConfig, torch.device], Learner]:
    """The shipped engine with another trainer, or another configuration of it."""

    def build(config: EngineConfig, device: torch.device) -> Learner:
        return EngineLearner(configured(config, changes), device, trainer_type)

    return build


def _table(rule: Callable[[], Rule]) -> Callable[[EngineConfig, torch.device], Learner]:
    return lambda _config, _device: TableLearner(rule())


def _plain(*, own_steps: bool) -> Callable[[EngineConfig, torch.device], Learner]:
    """As many networks of the same width as the stream's group has."""

    def build(config: EngineConfig, _device: torch.device) -> Learner:
        trainer = config.trainer
        return PlainGroup(trainer.seed, trainer.width, len(trainer.students), own_steps=own_steps)

    return build


LOCAL = 0.01
"""Weight of local knowledge where there is any."""
PLAIN: dict[str, Override] = {"global_weight": 1.0, "temperature": 1.0, "min_confidence": 0.0}
"""Global knowledge alone, everywhere, as the methods have it that others published."""

METHODS: dict[str, Method] = {
    "independent": Method("the same group, nobody teaches", _with(global_weight=0.0)),
    "ours": Method("ours, the best student served (OLAD_SERVE=best)", _with()),
    "auto": Method("the shipped defaults: the group served where it is expected to be best", _with(serve="auto")),
    "full": Method("ours with local knowledge, too", _with(local_weight=LOCAL)),
    "local": Method("local knowledge instead of global", _with(global_weight=0.0, local_weight=LOCAL)),
    "measured": Method("ours, taught as far as an untaught twin shows that it helps", _with(measures_teaching=True)),
    "unweighted": Method("ours with all others teaching, whatever the evidence says", _with(OthersTeach)),
    "dml": Method("deep mutual learning: each learns from the mean of the others", _with(OthersTeach, **PLAIN)),
    "kdcl": Method(
        "KDCL: each learns from the whole group's mean, T = 2", _with(AllTeach, **{**PLAIN, "temperature": 2.0})
    ),
    "self": Method("each learns from itself as it is without dropout", _with(SelfTeach)),
    "published": Method(
        "OAD as published: T = 3, all others teach, weights 1/1/1",
        _with(OthersTeach, temperature=3.0, global_weight=1.0, local_weight=1.0, min_confidence=0.0),
    ),
    "frozen": Method(
        "the group as it was after the first part of the stream teaches from then on", _with(FrozenTeach, **PLAIN)
    ),
    "vote": Method("majority of the labelled neighbours", _table(Vote)),
    "trees": Method("gradient boosting on features, degree and neighbours' labels", _table(gradient_boosting)),
    "trees-degree": Method("the same with the neighbours' mean degree", _table(informed_boosting)),
    "regression": Method("logistic regression on propagated features and labels", _table(logistic_regression)),
    "river-forest": Method("river's adaptive random forest", _table(lambda: RiverRule("forest.ARFClassifier"))),
    "retrained": Method(
        "a plain GCN trained from scratch every 1,000 arrivals",
        lambda config, _device: Retrained(config.trainer.seed, config.trainer.width),
    ),
    "plain-gcn": Method(
        "plain GCNs as their authors train them: 200 epochs, then asked", _plain(own_steps=True), for_splits=True
    ),
    "plain-gcn-equal": Method(
        "the same with the steps and the choice of the time of the others", _plain(own_steps=False), for_splits=True
    ),
    **{
        f"alone-{name}": Method(f"{name} alone", _with(students=(name,)))
        for name in dict.fromkeys(TrainerConfig().students)
    },
}
"""Every method by its name."""
PRACTICE = ("vote", "trees", "regression", "river-forest", "retrained")
"""What a practitioner would do instead."""
USUAL_METHODS = tuple(name for name in METHODS if not name.startswith("alone-"))
"""Those of the usual table. A student alone learns as it does in the independent group, which is scored per student."""
