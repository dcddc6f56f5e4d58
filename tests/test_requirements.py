"""What is installed is pinned, and nothing that is needed is missing from the list."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def _pinned(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {
        canonicalize_name(line.split("==")[0]): line.split("==")[1]
        for line in lines
        if line and not line.startswith("#")
    }


def _needed(**machine: str) -> set[str]:
    """Names of everything the project's dependencies lead to on this machine, or on one that differs in ``machine``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    waiting = [
        Requirement(text) for text in project["project"]["dependencies"] + [r for extra in extras for r in extra]
    ]
    waiting += [Requirement(text) for text in project["build-system"]["requires"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        environments = [machine | {"extra": extra} for extra in requirement.extras or {""}]
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen or not (requirement.marker is None or requirement.marker.evaluate(machine | {"extra": ""})):
            continue
        seen.add(key)
        for text in metadata.requires(requirement.name) or ():
            child = Requirement(text)
            if child.marker is None or any(child.marker.evaluate(environment) for environment in environments):
                child.marker = None
                waiting.append(child)
    return {name for name, _ in seen}


@pytest.mark.parametrize("machine", [{}, {"python_full_version": "3.11.0"}])
def test_everything_that_is_needed_is_pinned(machine: dict[str, str]) -> None:
    accelerator = re.compile(r"^(nvidia-|cuda-|triton$)")  # Pinned by torch itself, where its build has them.
    missing = {name for name in _needed(**machine) - set(_pinned("lock.txt")) if not accelerator.match(name)}
    assert missing == set()


def test_the_pins_are_exact_and_fit_the_project() -> None:
    pins = _pinned("lock.txt")
    assert all(re.fullmatch(r"[0-9][A-Za-z0-9.]*", version) for version in pins.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), text


def test_what_is_installed_here_is_what_is_pinned() -> None:
    pins = _pinned("lock.txt") | _pinned("no-deps.txt")
    installed = {name: metadata.version(name).split("+")[0] for name in _needed() & set(pins)}
    assert installed == {name: pins[name] for name in installed}
