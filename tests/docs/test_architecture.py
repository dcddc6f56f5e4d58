"""ARCHITECTURE.md names what there is: every path in it exists, and every folder of the packages is in it."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

PAGE = ROOT / "ARCHITECTURE.md"
_PATH = re.compile(r"^(?:[\w.-]+/)+[\w.-]*$|^[\w-]+\.(?:py|md|toml|txt)$")
_PLACEHOLDER = "NAME"


def paths(page: Path) -> list[str]:
    """Code spans of a page that are paths; those with a placeholder stand for a file to be written."""
    spans = re.findall(r"`([^`\n]+)`", page.read_text())
    return [span for span in spans if _PATH.match(span) and _PLACEHOLDER not in span]


def missing(page: Path) -> list[str]:
    """Paths of a page that do not exist."""
    return [path for path in paths(page) if not (ROOT / path).exists()]


def folders() -> list[str]:
    """Folders of the packages that hold files; what Python compiles beside them does not count."""
    files = (path for package in ("olad_core", "service") for path in (ROOT / package).rglob("*") if path.is_file())
    return sorted({f"{path.parent.relative_to(ROOT)}/" for path in files if path.parent.name != "__pycache__"})


def test_every_path_exists() -> None:
    assert missing(PAGE) == []
    assert len(set(paths(PAGE))) > 60


def test_a_missing_path_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`olad_core/none.py` `olad_core/engine.py` `service/no/` `olad_core/students/NAME.py` `POST /events`"
    )
    assert missing(page) == ["olad_core/none.py", "service/no/"]


@pytest.mark.parametrize("folder", folders())
def test_every_folder_of_the_packages_is_named(folder: str) -> None:
    assert folder in paths(PAGE)


def test_the_picture_is_made_of_its_text() -> None:
    text = (ROOT / "docs" / "architecture.txt").read_text()
    drawn = runpy.run_path(str(ROOT / "docs" / "draw.py"))["draw"](text)
    assert drawn == (ROOT / "docs" / "architecture.svg").read_text(), "run `make picture`"
    # What a box names is there.
    named = re.findall(r"\bservice/\w+", text)
    assert named
    assert [name for name in named if not (ROOT / name).is_dir()] == []
    inner = re.findall(r": (\w+)/ /", text)
    assert {name for name in inner if not (ROOT / "olad_core" / name).is_dir()} == set()
    assert len(inner) == 6


def test_the_picture_is_drawn_by_the_command_that_is_named() -> None:
    command = [sys.executable, "docs/draw.py", "docs/architecture.txt"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert printed == (ROOT / "docs" / "architecture.svg").read_text()
