"""Sentences of the documentation. ``python -m tests.docs.sentences`` prints the longest one of each page."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.markdown import ROOT, blocks, pages

_END = re.compile(r"""(?<=[.!?])[)"'\]]*\s+(?=[^a-z\s])""")
_ABBREVIATIONS = re.compile(r"\b(et al|e\.g|i\.e|vs|cf|etc)\.")


def sentences(text: str) -> list[str]:
    """Sentences of one block of text. A full stop, question or exclamation mark before a capital ends one.

    >>> sentences("It is 0.5 ms (Malladi et al. 2022). `code` is next; see below.")
    ['It is 0.5 ms (Malladi et al 2022).', '`code` is next; see below.']
    """
    return [part for part in _END.split(_ABBREVIATIONS.sub(r"\1", text)) if part]


def words(sentence: str) -> int:
    """Number of words: runs of characters without a space that hold a letter or a digit.

    >>> words("At p = 0.5, a + b is 3")
    7
    """
    return len(re.findall(r"\S*\w\S*", sentence))


def longest(page: Path) -> tuple[int, str]:
    """Number of words of the longest sentence of a page, and the sentence."""
    found = [sentence for block in blocks(page) for sentence in sentences(block)]
    return max(((words(sentence), sentence) for sentence in found), default=(0, ""))


def main() -> None:
    """Print the longest sentence of each page."""
    for page in pages():
        count, sentence = longest(page)
        print(f"{page.relative_to(ROOT)}: {count} words: {sentence}")


if __name__ == "__main__":
    main()
