"""Every relative link of every Markdown file leads to a file that exists, and every anchor to a heading."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.markdown import ROOT, all_pages, anchors, links


def broken(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    found = []
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        is_page = target.suffix == ".md" and target.is_file()
        if not target.exists() or (parts.fragment and is_page and parts.fragment not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    other, page = tmp_path / "other.md", tmp_path / "page.md"
    other.write_text("# A head, and `code`\n\n## Twice\n\n## Twice\n")
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#a-head-and-code) [c](other.md#twice-1) [d](#here) [e](https://example.org/x)\n"
        "[f](none.md) [g](other.md#none) [h](#none) ![i](none.png)\n"
    )
    assert broken(page) == ["none.md", "other.md#none", "#none", "none.png"]


def test_every_page_of_the_documentation_is_in_the_index() -> None:
    folder = ROOT / "docs"
    listed = {(folder / link).resolve() for link in links(folder / "README.md")}
    listed |= {(folder / "decisions" / link).resolve() for link in links(folder / "decisions" / "README.md")}
    assert {page.resolve() for page in folder.rglob("*.md")} - {folder / "README.md"} <= listed


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_mark_of_a_merge_is_left(page: Path) -> None:
    assert not [line for line in page.read_text().splitlines() if line.startswith(("<<<<<<<", ">>>>>>>"))]
