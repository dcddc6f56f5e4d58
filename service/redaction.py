"""Taking secrets, and what could fool a terminal, out of text that people will read."""

from __future__ import annotations

import re

_SECRETS = (
    # The password of any URL, and the user name with it where there is one.
    (re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]*@", re.IGNORECASE), r"\g<kept>***@"),
    # An API key keeps its public half.
    (re.compile(r"(?P<kept>\bolad_[0-9a-f]{12}_)[A-Za-z0-9_-]+"), r"\g<kept>***"),
    (re.compile(r"(?P<kept>\bBearer +)(?!olad_[0-9a-f]{12}_)[^\s'\",]+", re.IGNORECASE), r"\g<kept>***"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def redacted(text: str) -> str:
    """The text without passwords in URLs, without API keys and without bearer tokens.

    >>> redacted("cannot reach redis://worker:secret@redis:6379/0")
    'cannot reach redis://***@redis:6379/0'
    >>> redacted("Authorization: Bearer olad_0123456789ab_c2VjcmV0")
    'Authorization: Bearer olad_0123456789ab_***'
    """
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept, text)
    return text


def printable(text: str) -> str:
    r"""The text with control characters written out: node ids and class names may hold any.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
