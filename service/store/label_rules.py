"""The rule that decides labels, as it stands in Redis: JSON, or nothing for the likeliest class."""

from __future__ import annotations

import msgspec

from olad_core.tasks.label_rule import LabelRule


def dump_rule(rule: LabelRule) -> bytes:
    """A rule as it is stored.

    >>> dump_rule(LabelRule())
    b''
    """
    return msgspec.json.encode(rule) if rule else b""


def load_rule(stored: bytes) -> LabelRule:
    """A rule as it was stored.

    >>> load_rule(b"") == LabelRule()
    True
    """
    return msgspec.json.decode(stored, type=LabelRule) if stored else LabelRule()
