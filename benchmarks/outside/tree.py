"""The code that is measured: this checkout, or another commit in a worktree with the same packages."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent.parent.parent
KEPT = Path(tempfile.gettempdir()) / "olad-bench-trees"
"""Where worktrees of other commits stay."""


@dataclass(frozen=True)
class Tree:
    """A checkout, and the Python that imports the service from it."""

    name: str
    directory: Path
    python: Path


def this_tree() -> Tree:
    """The checkout that this file is in."""
    return Tree("this", HERE, Path(sys.executable))


def tree_of(revision: str, folder: Path = KEPT) -> Tree:
    """A worktree of a commit. It stays in its folder, so that its compiled loops are found next time.

    Its environment holds no packages. A path file names the worktree first, then the packages of this environment.

    Raises:
        subprocess.CalledProcessError: git does not know the revision.
    """
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    directory = folder / commit[:12]
    if not directory.exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--quiet", "--detach", str(directory), commit)
    environment = directory / ".venv"
    venv.create(environment, with_pip=False, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "olad-bench.pth").write_text("".join(f"{line}\n" for line in import_path(directory, sys.path)))
    return Tree(revision, directory, environment / "bin" / "python")


def import_path(directory: Path, path: list[str]) -> list[str]:
    """Lines of a path file: the checkout, then the folders with installed packages of an import path.

    >>> import_path(Path("/tree"), ["", "/usr/lib/python3.11", "/venv/lib/python3.11/site-packages", "/mine"])
    ['/tree', '/venv/lib/python3.11/site-packages']
    """
    return [str(directory), *(entry for entry in path if Path(entry).name in {"site-packages", "dist-packages"})]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True)
    return done.stdout.strip()
