"""Configurations of the engine that differ from another in some fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from olad_core.config import EngineConfig, TrainerConfig

Override = int | float | bool | str | tuple[str, ...] | tuple[int, ...]
"""A value of a field."""


def configured(config: EngineConfig, changes: Mapping[str, Any]) -> EngineConfig:
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
