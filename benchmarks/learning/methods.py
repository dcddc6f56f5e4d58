"""The methods that are compared: each is a name and how it differs from the shipped engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.learning.configuration import Override, configured
from benchmarks.learning.learners import EngineLearner, Learner, NeighbourVote
from benchmarks.learning.trainers import AllTeach, FrozenTeach, OthersTeach, SelfTeach
from olad_core.config import EngineConfig, TrainerConfig
from olad_core.learning.trainer import Trainer


@dataclass(frozen=True)
class Method:
    """A way to learn.

    Attributes:
        about: one line for people.
        build: a learner that follows this configuration.
    """

    about: str
    build: Callable[[EngineConfig, torch.device], Learner]


def _with(
    trainer_type: type[Trainer] = Trainer, **changes: Override
) -> Callable[[EngineConfig, torch.device], Learner]:
    """The shipped engine with another trainer, or another configuration of it."""

    def build(config: EngineConfig, device: torch.device) -> Learner:
        return EngineLearner(configured(config, changes), device, trainer_type)

    return build


LOCAL = 0.01
"""Weight of local knowledge where there is any."""
PLAIN: dict[str, Override] = {"global_weight": 1.0, "temperature": 1.0, "min_confidence": 0.0}
"""Global knowledge alone, everywhere, as the methods have it that others published."""

METHODS: dict[str, Method] = {
    "independent": Method("the same group, nobody teaches", _with(global_weight=0.0)),
    "ours": Method("the shipped defaults", _with()),
    "full": Method("ours with local knowledge, too", _with(local_weight=LOCAL)),
    "local": Method("local knowledge instead of global", _with(global_weight=0.0, local_weight=LOCAL)),
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
    "vote": Method("majority of the labelled neighbours", lambda _config, _device: NeighbourVote()),
    **{
        f"alone-{name}": Method(f"{name} alone", _with(students=(name,)))
        for name in dict.fromkeys(TrainerConfig().students)
    },
}
"""Every method by its name."""
USUAL_METHODS = tuple(name for name in METHODS if not name.startswith("alone-"))
"""Those of the usual table. A student alone learns as it does in the independent group, which is scored per student."""
