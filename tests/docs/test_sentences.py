"""No sentence of the documentation is longer than a reader can follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks, pages
from tests.docs.sentences import longest, sentences, words

LIMIT = 40


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_sentence_is_too_long(page: Path) -> None:
    count, sentence = longest(page)
    assert count <= LIMIT, sentence


def test_blocks_are_paragraphs_items_and_cells(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# A head\n\nOne [link](far/away.md)\nand `two words`.\n- item\n\n```\ncode\n```\n\n|a|b|\n|-|-|\n|c|d|\n"
    page.write_text(text)
    assert blocks(page) == ["A head", "One link and `code`.", "item", "a", "b", "c", "d"]


def test_a_long_sentence_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Short. " + "Word " + "and word " * 20 + "end; more. Short again.")
    assert longest(page)[0] == 43


@pytest.mark.parametrize(
    ("text", "count"),
    [("One. Two.", 2), ("It is (so). `Code` is.", 2), ("See e.g. This.", 1), ("a 0.5 b? C!", 2)],
)
def test_sentences_end_at_full_stops(text: str, count: int) -> None:
    assert len(sentences(text)) == count
    assert sum(words(sentence) for sentence in sentences(text)) == words(text)
