"""Why a version has a number of its own."""

from __future__ import annotations

from typing import Literal

Reason = Literal["first", "due", "better-student", "new-students", "new-classes", "drift", "unpinned"]
