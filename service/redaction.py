"""Removing secrets and control characters from text that people read."""

from __future__ import annotations

import re

_SECRETS = (
    # The password of any URL, and the user name with it where there is one.
    (re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]{0,19}://)[^\s/'\"]*@", re.IGNORECASE), r"\g<kept>***@"),
    # A password in the query of a URL: Sentinels and TLS keys take theirs there.
    (re.compile(r"(?P<kept>[?&][a-z_.-]{0,30}password=)[^\s&#'\"]*", re.IGNORECASE), r"\g<kept>***"),
    # An API key keeps its public half.
    (re.compile(r"(?P<kept>\bolad_[0-9a-f]{12}_)[A-Za-z0-9_-]+"), r"\g<kept>***"),
    (re.compile(r"(?P<kept>\bBearer +)(?!olad_[0-9a-f]{12}_)[^\s'\",]+", re.IGNORECASE), r"\g<kept>***"),
)
_LONGEST_SECRET = 1_000


def redacted(text: str) -> str:
    """The text without passwords in URLs, without API keys and without bearer tokens.

    >>> redacted("cannot reach redis://worker:secret@redis:6379/0")
    'cannot reach redis://***@redis:6379/0'
    >>> redacted("redis+sentinel://one:26379/main?sentinel_password=secret&db=0")
    'redis+sentinel://one:26379/main?sentinel_password=***&db=0'
    >>> redacted("Authorization: Bearer olad_0123456789ab_c2VjcmV0")
    'Authorization: Bearer olad_0123456789ab_***'
    """
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept, text)
    return text


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with every character written out that could move a cursor, hide, or change the order of others.

    Those are the ones that Unicode does not count as printable: C0 and C1 controls, DEL, bidirectional controls, zero
    width and line-separating characters, lone surrogates, unassigned ones, and spaces other than the ordinary one.

    Args:
        text: what came from outside.
        keep: characters that stay as they are nevertheless.

    >>> printable("a\x1b[2Jb\u202ec")
    'a\\x1b[2Jb\\u202ec'
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def shortened(text: str, most: int) -> str:
    """The text without secrets, or so much of its beginning and the number of characters after it.

    >>> shortened("abcdefghij" * 3, 10)
    'abcdefghij ... 20 characters left out'
    """
    if len(text) <= most:
        return redacted(text)
    # A secret that the cut goes through must still be recognised.
    return f"{redacted(text[: most + _LONGEST_SECRET])[:most]} ... {len(text) - most:,} characters left out"
