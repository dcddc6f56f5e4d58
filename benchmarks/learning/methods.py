"""The methods that are compared: each is a name and how it differs from the shipped engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import torch

from benchmarks.learning.learners import EngineLearner, Learner, NeighbourVote
from olad_core.distill.trainer import TrainerConfig
from olad_core.engine import EngineConfig

Override = int | float | bool | str | tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """A way to learn.

    Attributes:
        about: one line for people.
        build: a learner that follows this configuration.
    """

    about: str
    build: Callable[[EngineConfig, torch.device], Learner]


def _with(**changes: Override) -> Callable[[EngineConfig, torch.device], Learner]:
    """The shipped engine with another trainer configuration."""

    def build(config: EngineConfig, device: torch.device) -> Learner:
        return EngineLearner(configured(config, changes), device)

    return build


def configured(config: EngineConfig, changes: Mapping[str, object]) -> EngineConfig:
    """A configuration with some fields changed, the trainer's or the engine's own.

    Raises:
        KeyError: no field has that name.
    """
    own = {field.name for field in fields(EngineConfig)} - {"trainer"}
    trainers = {field.name for field in fields(TrainerConfig)}
    if unknown := changes.keys() - own - trainers:
        raise KeyError(f"neither EngineConfig nor TrainerConfig has {', '.join(sorted(unknown))}")
    trainer = replace(config.trainer, **{name: value for name, value in changes.items() if name in trainers})
    return replace(config, trainer=trainer, **{name: value for name, value in changes.items() if name in own})


METHODS: dict[str, Method] = {
    "ours": Method("the shipped defaults", _with()),
    "independent": Method("the same group, nobody teaches", _with(global_weight=0.0, local_weight=0.0)),
    "global": Method("ours with global knowledge only", _with(local_weight=0.0)),
    "local": Method("ours with local knowledge only", _with(global_weight=0.0)),
    "vote": Method("majority of the labelled neighbours", lambda _config, _device: NeighbourVote()),
    **{
        f"alone-{name}": Method(f"{name} alone", _with(students=(name,)))
        for name in dict.fromkeys(TrainerConfig().students)
    },
}
"""Every method by its name."""
