"""The wheel of the client, imported where nothing but its dependencies is installed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from service.client import wheel
from tests.docs.markdown import ROOT

PROGRAM = """
import json, sys
from olad import Client, NoModel, UpsertNode
with Client(sys.argv[1], read_own_writes=False) as client:
    position = client.append([UpsertNode(id="a")]).position
    assert client.status().log.position == position
    try:
        client.predict_one("a")
    except NoModel as error:
        assert "missing" in str(error)
print(json.dumps([sorted(sys.modules), sys.modules["olad"].__file__]))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an installer would put the files of the wheel."""
    directory = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(wheel.build(directory)) as archive:
        archive.extractall(directory / "site")
    return directory / "site"


def _project(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = tomllib.loads(path.read_text())["project"]
    return found


CLIENT = _project(ROOT / "service/client/install/pyproject.toml")
WHOLE = _project(ROOT / "pyproject.toml")


def _installed(names: list[str]) -> set[str]:
    """Top-level files and folders of these distributions, and of all that they need."""
    waiting, seen, found = [Requirement(name).name for name in names], set(), set()
    while waiting:
        name = waiting.pop().lower()
        if name in seen:
            continue
        seen.add(name)
        found |= {file.parts[0] for file in metadata.files(name) or () if file.parts[0] not in {"..", "__pycache__"}}
        needed = [Requirement(text) for text in metadata.requires(name) or ()]
        waiting += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def test_it_is_imported_and_used_with_its_dependencies_alone(unpacked: Path, tmp_path: Path, url: str) -> None:
    packages = Path(str(metadata.distribution("httpx").locate_file("")))
    for name in _installed(CLIENT["dependencies"]):
        (tmp_path / name).symlink_to(packages / name)
    command = [sys.executable, "-S", "-c", PROGRAM, url]
    paths = {"PYTHONPATH": f"{unpacked}:{tmp_path}"}
    ended = subprocess.run(command, capture_output=True, text=True, env=paths, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr
    modules, place = json.loads(ended.stdout)
    assert Path(place).is_relative_to(unpacked)
    assert {"fastapi", "redis", "torch", "service", "olad_core", "numpy", "pyarrow", "pandas"}.isdisjoint(modules)


def test_it_imports_what_it_states_and_nothing_else(unpacked: Path) -> None:
    stated = (
        CLIENT["dependencies"]
        + tomllib.loads((ROOT / "service/client/install/pyproject.toml").read_text())["project"][
            "optional-dependencies"
        ]["frames"]
    )
    allowed = {Requirement(text).name for text in stated} | set(sys.stdlib_module_names) | {"olad"}
    used = {name.split(".")[0] for path in unpacked.rglob("*.py") for name in wheel.imports(path)}
    assert used <= allowed
    assert {"httpx", "pyarrow"} <= used


def test_every_module_of_ours_that_it_imports_is_in_it(unpacked: Path) -> None:
    for path in unpacked.rglob("*.py"):
        for part in ast.walk(ast.parse(path.read_text())):
            if isinstance(part, ast.ImportFrom) and part.module is not None and part.module.startswith("olad"):
                place = unpacked.joinpath(*part.module.split("."))
                assert place.with_suffix(".py").exists() or (place / "__init__.py").exists(), part.module


def test_it_is_small_and_has_no_part_of_the_servers() -> None:
    names = wheel.modules()
    assert "service.client.wheel" not in names
    assert not [name for name in names if name.startswith(("service.api", "service.worker", "service.commands"))]
    assert "olad_core.engine" not in names


def test_version_and_bounds_are_those_of_the_service() -> None:
    assert CLIENT["version"] == WHOLE["version"]
    assert set(CLIENT["dependencies"]) <= set(WHOLE["dependencies"])
