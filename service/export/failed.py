"""The error of an export."""

from __future__ import annotations

from olad_core.errors import OladError


class ExportFailed(OladError, RuntimeError):
    """What was asked for cannot be exported; the message is for the user."""
