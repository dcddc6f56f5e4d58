"""The kinds of decisions."""

from __future__ import annotations

from typing import Literal

RareKind = Literal[
    "first-version",
    "student-switched",
    "version-refused",
    "drift",
    "student-reset",
    "group-restarted",
    "classes-grown",
    "version-pinned",
    "version-unpinned",
    "version-rolled-back",
    "variant-promoted",
]
"""Kinds of decisions that are recorded as changes: all but to keep a student, which comes every few seconds."""
Kind = Literal["student-kept", RareKind]
