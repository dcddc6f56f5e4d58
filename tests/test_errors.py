"""``except OladError`` catches whatever this project raises as an exception of its own."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import olad_core
import service
from olad_core.errors import OladError

PACKAGES = (olad_core, service)


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def exceptions() -> dict[str, type[BaseException]]:
    """Every exception class that is defined in the packages, those of single functions left out."""
    return {
        f"{module.__name__}.{name}": found
        for module in modules()
        for name, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, BaseException) and found.__module__ == module.__name__
    }


def test_every_exception_class_has_the_root() -> None:
    found = exceptions()
    assert {"olad_core.events.InvalidEvents", "service.store.fence.LogLost", "service.problems.Problem"} <= set(found)
    assert [name for name, one in found.items() if not issubclass(one, OladError)] == []


@pytest.mark.parametrize(
    ("one", "base"),
    [("olad_core.events.InvalidEvents", ValueError), ("service.store.fence.LogLost", RuntimeError)],
)
def test_the_built_in_classes_still_catch_them(one: str, base: type[Exception]) -> None:
    assert issubclass(exceptions()[one], base)
