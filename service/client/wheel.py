"""Builds the wheel ``olad-client``: ``python -m service.client.wheel DIRECTORY``.

It holds the modules that the client imports, directly or not, and no others. All of them are in the package ``olad``,
since a module called ``service`` would be in the way of other programs.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_INSTALL = Path(__file__).parent / "install"
_OURS = ("olad_core", "service")
_INSIDE = "olad.parts"
_BEGIN = ("service.client", "service.client.frames")
_IMPORT = re.compile(rf"^(\s*from )({'|'.join(_OURS)})\b", re.MULTILINE)


def modules() -> dict[str, Path]:
    """Every module of this repository that the client needs, by name."""
    found: dict[str, Path] = {}
    waiting = list(_BEGIN)
    while waiting:
        name = waiting.pop()
        path = _path_of(name)
        if name in found or path is None:
            continue
        found[name] = path
        parent = name.rpartition(".")[0]
        waiting += [*([parent] if parent else []), *(each for each in imports(path) if each.split(".")[0] in _OURS)]
    return found


def imports(path: Path) -> Iterator[str]:
    """What a file imports anywhere in it: modules, and names that may be modules."""
    for part in ast.walk(ast.parse(path.read_text())):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.module is not None:
            yield part.module
            yield from (f"{part.module}.{alias.name}" for alias in part.names)


def build(directory: Path) -> Path:
    """Build the wheel into a directory, without the network; its path."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        tree = Path(made)
        _write_tree(tree)
        program = "import sys, setuptools.build_meta as backend; print(backend.build_wheel(sys.argv[1]))"
        command = [sys.executable, "-c", program, str(directory.resolve())]
        ended = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)  # noqa: S603
    return directory / ended.stdout.splitlines()[-1]


def _write_tree(tree: Path) -> None:
    shutil.copy(_INSTALL / "pyproject.toml", tree)
    shutil.copy(_ROOT / "LICENSE", tree)
    shutil.copytree(_INSTALL / "olad", tree / "olad", ignore=shutil.ignore_patterns("__pycache__"))
    parts = tree / Path(*_INSIDE.split("."))
    parts.mkdir()
    (parts / "__init__.py").write_text('"""What the client is made of."""\n')
    for path in modules().values():
        copy = parts / path.relative_to(_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for path in tree.rglob("*.py"):
        path.write_text(_IMPORT.sub(rf"\1{_INSIDE}.\2", path.read_text()))


def _path_of(name: str) -> Path | None:
    place = _ROOT.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]))}\n")
