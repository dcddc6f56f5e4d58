"""The configurations that are compared: settings of the service, some of them changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from olad_core.errors import OladError
from olad_core.events import ClassDecision, GraphSchema
from service.settings import Settings

CHANGEABLE = (
    "students",
    "width",
    "learning_rate",
    "global_weight",
    "local_weight",
    "temperature",
    "warmup_steps",
    "serve",
    "trees",
    "linear",
    "members_teach",
    "publish_steps",
    "metric",
    "steps_per_entry",
    "max_classes",
    "seed",
)
"""Settings that ``--set`` changes: those that decide what is learned and served."""
DECISIONS = "decisions"
"""What ``--set`` changes beside settings: that of the schema, as JSON."""
SETTABLE = (*CHANGEABLE, DECISIONS)
"""What ``--set`` changes."""
RIVER = "river:"
BASELINES = ("vote", "majority", "gradient-boosting", "logistic-regression", f"{RIVER}NAME")
"""What ``--baseline`` takes."""
DEFAULT_NAME = "default"
"""Name of the configuration without changes."""


class WrongConfiguration(OladError, ValueError):
    """What is to be compared cannot be built; the message names it and what to do."""


@dataclass(frozen=True)
class Configuration:
    """One configuration.

    Attributes:
        name: of it in the report.
        settings: all settings.
        changes: those that differ from the environment's, as they were given.
        decisions: by class, what makes its labels instead of the schema's decisions; None keeps those.
    """

    name: str
    settings: Settings
    changes: Mapping[str, str] = field(default_factory=dict)
    decisions: Mapping[str, ClassDecision] | None = None


def configurations(settings: Settings, given: Sequence[str]) -> list[Configuration]:
    """The settings as they are, then one configuration for each name that was given.

    Args:
        settings: of the environment.
        given: ``NAME:SETTING=VALUE`` each; changes of the same name belong to one configuration. ``SETTING=VALUE`` is
            a configuration of its own, under this text as its name. ``decisions`` is taken as a setting.

    Raises:
        WrongConfiguration: of an unknown setting, or a value that it does not take.

    >>> found = configurations(Settings(), ["width=32", "small:width=16", "small:students=sage,gat"])
    >>> [(one.name, one.settings.width, len(one.settings.students)) for one in found]
    [('default', 64, 4), ('width=32', 32, 4), ('small', 16, 2)]
    """
    changes: dict[str, dict[str, str]] = {DEFAULT_NAME: {}}
    for text in given:
        name, setting, value = _parse(text)
        if setting in changes.setdefault(name, {}):
            raise WrongConfiguration(f"--set {text}: {name} has a value of {setting} already")
        changes[name][setting] = value
    return [_configuration(settings, name, values) for name, values in changes.items()]


def parse_decisions(text: str) -> Mapping[str, ClassDecision]:
    """Decisions of a schema out of JSON.

    Raises:
        WrongConfiguration: it is none.

    >>> parse_decisions('{"fraud": {"cost": 20}}')
    {'fraud': ClassDecision(threshold=None, cost=20.0, top_share=None)}
    """
    example = """give JSON such as {"fraud": {"threshold": 0.2}}"""
    try:
        return GraphSchema(decisions=json.loads(text)).decisions
    except json.JSONDecodeError as error:
        raise WrongConfiguration(f"decisions {text}: {error}; {example}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"][1:]))
        what = problem["msg"].removeprefix("Value error, ")
        raise WrongConfiguration(f"decisions {text}: {f'{where}: ' if where else ''}{what}; {example}") from None


def _configuration(settings: Settings, name: str, changes: Mapping[str, str]) -> Configuration:
    text = changes.get(DECISIONS)
    decisions = None if text is None else parse_decisions(text)
    of_settings = {setting: value for setting, value in changes.items() if setting != DECISIONS}
    return Configuration(name, _changed(settings, name, of_settings), changes, decisions)


def _parse(text: str) -> tuple[str, str, str]:
    left, equals, value = text.partition("=")
    name, colon, setting = left.rpartition(":")
    setting = setting.strip().lower().removeprefix("olad_")
    if not equals:
        raise WrongConfiguration(f"--set {text}: give SETTING=VALUE or NAME:SETTING=VALUE, such as small:width=32")
    if setting not in SETTABLE:
        raise WrongConfiguration(f"--set {text}: there is no setting {setting} of learning; {', '.join(SETTABLE)}")
    return (name.strip() if colon else text), setting, value.strip()


def _changed(settings: Settings, name: str, changes: Mapping[str, str]) -> Settings:
    if not changes:
        return settings
    # Only the names that decide what is learned: the others have been validated, and may name files.
    kept = {setting: getattr(settings, setting) for setting in CHANGEABLE}
    try:
        return Settings(**{**kept, **changes})
    except ValidationError as error:
        problem = error.errors()[0]
        setting = str(problem["loc"][0]) if problem["loc"] else ""
        given = f"{setting}={changes[setting]}" if setting in changes else ", ".join(changes)
        raise WrongConfiguration(f"--set {name}: {given}: {problem['msg']}") from None
