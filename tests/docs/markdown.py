"""Text, links and headings of the Markdown pages of this repository."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_PARSER = MarkdownIt("commonmark").enable("table")
_CODE = "`code`"


def pages() -> list[Path]:
    """The pages that people read: those beside README.md, and everything in ``docs/``."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def all_pages() -> list[Path]:
    """Every Markdown file of the repository, hidden folders left out."""
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))])


def blocks(page: Path) -> list[str]:
    """Plain text of each paragraph, heading, list item and table cell.

    Code blocks are left out. A code span counts as one word, a link as its text.
    """
    return [_text(token.children or []) for token in _inline(page)]


def links(page: Path) -> list[str]:
    """Targets of the links and images of a page, as written."""
    return [
        str(child.attrs["href" if child.type == "link_open" else "src"])
        for token in _inline(page)
        for child in token.children or []
        if child.type in {"link_open", "image"}
    ]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    found: set[str] = set()
    tokens = _PARSER.parse(page.read_text())
    for before, token in itertools.pairwise(tokens):
        if before.type == "heading_open":
            words = "".join(child.content for child in token.children or [] if child.type in {"text", "code_inline"})
            base = anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            number = 0
            while anchor in found:
                number += 1
                anchor = f"{base}-{number}"
            found.add(anchor)
    return found


def _inline(page: Path) -> Iterator[Token]:
    return (token for token in _PARSER.parse(page.read_text()) if token.type == "inline")


def _text(children: list[Token]) -> str:
    parts = []
    for child in children:
        if child.type in {"text", "image"}:
            parts.append(child.content)
        elif child.type == "code_inline":
            parts.append(_CODE)
        elif child.type in {"softbreak", "hardbreak"}:
            parts.append(" ")
    return "".join(parts)
