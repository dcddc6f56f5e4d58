"""The dashboard's files: complete, shipped, and calling no other host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WEB = ROOT / "service" / "web"
FILES = sorted(path for path in WEB.rglob("*") if path.is_file())
SVG_NAMESPACE = "http://www.w3.org/2000/svg"
ROUTES = {"docs", "metrics", "status", "students", "events/rejected"}


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(WEB)) for path in paths]


def test_the_page_refers_to_files_and_routes_that_exist() -> None:
    page = (WEB / "index.html").read_text()
    targets = set(re.findall(r'(?:href|src)="([^"#]+)"', page))
    assert targets - ROUTES
    assert {target for target in targets - ROUTES if not (WEB / target).is_file()} == set()


def test_links_within_the_page_lead_somewhere() -> None:
    page = (WEB / "index.html").read_text()
    targets = set(re.findall(r'href="#([^"]*)"', page))
    assert targets
    assert targets - set(re.findall(r'id="([^"]*)"', page)) == set()


def test_modules_import_modules_that_exist() -> None:
    imported = {
        (path.parent / target).resolve()
        for path in WEB.rglob("*.js")
        for target in re.findall(r'^import .* from "([^"]+)";$', path.read_text(), flags=re.MULTILINE)
    }
    assert imported
    assert {path for path in imported if not path.is_file()} == set()


def test_every_file_is_used() -> None:
    text = "".join(path.read_text() for path in FILES)
    assert {path.name for path in FILES if path.name != "index.html" and path.name not in text} == set()


@pytest.mark.parametrize("name", names(FILES))
def test_no_file_names_another_host(name: str) -> None:
    text = (WEB / name).read_text().replace(SVG_NAMESPACE, "")
    assert re.findall(r"(?:https?:|wss?:)?//[A-Za-z0-9]\S*|@import.*", text) == []


@pytest.mark.parametrize("name", names(sorted(WEB.rglob("*.js"))))
def test_answers_are_never_parsed_as_html(name: str) -> None:
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", (WEB / name).read_text()) == []


def test_the_package_ships_every_file() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["service"]
    shipped = {path for pattern in patterns for path in (ROOT / "service").glob(pattern) if path.is_file()}
    assert set(FILES) - shipped == set()
