"""Configurations of the engine that differ from another in some fields."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from olad_core.config import EngineConfig, TrainerConfig

Override = int | float | bool | str | tuple[str, ...] | tuple[int, ...]
"""A value of a field."""


def parse_change(text: str) -> tuple[str, Any]:
    """The name and the value of a changed field, in the field's type.

    Raises:
        ValueError: no field has that name, or the value is none of its type.

    >>> parse_change("linear=false"), parse_change("serve=auto"), parse_change("hidden_dropout=0.5")
    (('linear', False), ('serve', 'auto'), ('hidden_dropout', 0.5))
    >>> parse_change("linear=perhaps")
    Traceback (most recent call last):
    ...
    ValueError: linear=perhaps: Input should be a valid boolean, unable to interpret input
    """
    name, _, given = text.partition("=")
    types = get_type_hints(TrainerConfig) | get_type_hints(EngineConfig)
    if name not in types:
        raise ValueError(f"{text}: neither EngineConfig nor TrainerConfig has {name}")
    try:
        value = ast.literal_eval(given)
    except (ValueError, SyntaxError):
        value = given
    try:
        return name, TypeAdapter(types[name]).validate_python(value)
    except ValidationError as wrong:
        raise ValueError(f"{text}: {wrong.errors()[0]['msg']}") from None


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
