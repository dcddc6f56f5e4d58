"""The documentation uses the field's terms. The words of an earlier dialect that stood for them do not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks, pages

BANNED = {
    r"by heart": "overfit",
    r"told|tells": "is passed, receives, reports, distinguishes",
    r"hears|heard": "receives",
    r"says?|said": "reports, states, predicts",
    r"struck|strikes": "fails, injects",
    r"doors?": "the API",
    r"rooms?": "space, capacity",
    r"worn": "has received many differences",
    r"looks?(?!-)": "check, forward pass",
    r"anew": "again",
    r"go(es)? on": "continue",
    r"set aside": "rejected",
}
"""Regular expressions of words that have no technical use here, and what to write instead."""
_DIALECT = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
_SPEECH = re.compile(r"\b(?:told|tells|hears|heard|says|said)\b", re.IGNORECASE)
SOURCES = (
    "olad_core/messages",
    "olad_core/students",
    "olad_core/tasks",
    "service/client",
    "service/commands",
    "service/local",
)


def dialect(text: str) -> list[str]:
    """Banned words of a text.

    >>> dialect("A student is told what to look at. A look-up hearsay.")
    ['told', 'look']
    """
    return [match.group() for match in _DIALECT.finditer(text)]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_no_word_of_the_dialect(page: Path) -> None:
    found = {block: words for block in blocks(page) if (words := dialect(block))}
    assert found == {}


@pytest.mark.parametrize("folder", SOURCES)
def test_source_text_has_no_speaking_subject(folder: str) -> None:
    """Data, files and functions are passed, returned and reported. They do not talk."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    found = {str(file.relative_to(ROOT)): words for file in files if (words := _SPEECH.findall(file.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "sentence",
    [
        "Teachers are asked as they are without hidden rows dropped: sure teachers of unsure students.",
        "the part of a draw that is from the latest labels",
        "are right less often than i is, by one to three standard errors",
        "It was two points at first, whatever they were worth",
        "a written row changes places with what stood there",
        "the others need nobody",
        "frequent kinds give way to rare ones",
        "with `always` nothing either",
        "expected -0.5 points from the group against",
    ],
)
def test_an_unclear_sentence_is_gone(sentence: str) -> None:
    for page in pages():
        text = " ".join(page.read_text().split())
        assert sentence not in text, page
