"""Exit codes of ``olad`` for the program that starts its processes."""

from __future__ import annotations

REFUSES = 78
"""The process needs a change of its configuration, so a restart does not help: EX_CONFIG of
sysexits.h, for systemd's ``RestartPreventExitStatus``."""
