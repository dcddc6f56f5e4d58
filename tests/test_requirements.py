"""What is installed is pinned, and nothing that is needed is missing from the list."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = ("files",) if util.find_spec("pyarrow") else ()
"""The extra that reads CSV and Parquet, where it is installed: what it needs is only known then."""
EVALUATE = ("evaluate",) if util.find_spec("river") else ()
"""Likewise the extra of further baselines."""


ACCELERATOR = re.compile(r"^(nvidia-|cuda-|triton$)")
"""Packages that torch itself pins, where its build has them."""


def _entries(*names: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Every requirement of the files with its hashes."""
    for name in names:
        text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if line and not line.startswith("#"):
                requirement, *hashes = line.split("--hash=")
                yield Requirement(requirement.strip()), [one.strip() for one in hashes]


def _pinned(*names: str) -> dict[str, str]:
    pins: dict[str, str] = {}
    for requirement, _ in _entries(*names):
        (only,) = requirement.specifier
        assert only.operator == "==", requirement
        pins[canonicalize_name(requirement.name)] = only.version
    return pins


def _requires(name: str, *, installed: bool) -> list[str]:
    """What a package requires. One that only another machine needs may be absent here: then nothing is known of it."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        if installed:
            raise
        return []


def _needed(*chosen: str, **machine: str) -> set[str]:
    """Names of all that the project with these extras needs on this machine, or on one that differs in ``machine``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [project["project"]["optional-dependencies"][extra] for extra in chosen]
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
        for text in _requires(requirement.name, installed=not machine):
            child = Requirement(text)
            if child.marker is None or any(child.marker.evaluate(environment) for environment in environments):
                child.marker = None
                waiting.append(child)
    return {name for name, _ in seen}


@pytest.mark.parametrize("machine", [{}, {"python_full_version": "3.11.0"}])
@pytest.mark.parametrize(
    ("extras", "files"),
    [
        ((), ("api.txt",)),
        (("worker", "local"), ("run.txt", "torch.txt")),
        (("worker", "local", *FILES), ("run.txt", "files.txt", "torch.txt")),
        (("worker", "local", *FILES, *EVALUATE), ("run.txt", "files.txt", "torch.txt", "evaluate.txt")),
        (("worker", "local", *FILES, "dev"), ("run.txt", "files.txt", "torch.txt", "test.txt")),
    ],
    ids=["api", "run", "files", "evaluate", "test"],
)
def test_everything_that_is_needed_is_pinned(
    extras: tuple[str, ...], files: tuple[str, ...], machine: dict[str, str]
) -> None:
    missing = {name for name in _needed(*extras, **machine) - set(_pinned(*files)) if not ACCELERATOR.match(name)}
    assert missing == set()


def test_the_pins_are_exact_and_fit_the_project() -> None:
    pins = _pinned("run.txt", "files.txt", "evaluate.txt", "torch.txt", "test.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), text


@pytest.mark.parametrize("name", ["api.txt", "run.txt", "files.txt", "evaluate.txt", "test.txt", "no-deps.txt"])
def test_every_file_that_may_be_installed_has_its_hash(name: str) -> None:
    entries = list(_entries(name))
    assert entries
    for requirement, hashes in entries:
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


def test_what_runs_has_neither_tests_nor_a_build_of_torch() -> None:
    assert set(_pinned("run.txt", "files.txt", "evaluate.txt")) & set(_pinned("test.txt")) == set()
    assert set(_pinned("run.txt")) & set(_pinned("files.txt")) == set()
    assert set(_pinned("run.txt", "files.txt")) & set(_pinned("evaluate.txt")) == set()
    assert not {"torch", "pytest", "ruff", "mypy"} & set(_pinned("run.txt"))
    assert not [name for name in _pinned("run.txt", "test.txt") if ACCELERATOR.match(name)]
    assert _pinned("api.txt").items() <= _pinned("run.txt").items()


def test_what_is_installed_here_is_what_is_pinned() -> None:
    pins = _pinned("run.txt", "files.txt", "evaluate.txt", "torch.txt", "test.txt", "no-deps.txt")
    needed = _needed("worker", "local", *FILES, *EVALUATE, "dev") | {"torch-geometric-temporal"}
    installed = {name: metadata.version(name).split("+")[0] for name in needed & set(pins)}
    assert installed == {name: pins[name] for name in installed}
