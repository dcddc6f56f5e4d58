"""What the exit codes of ``olad`` mean to whoever starts its processes."""

from __future__ import annotations

REFUSES = 78
"""The process cannot go on before a person has changed something, so starting it again is of no use: EX_CONFIG of
sysexits.h, for systemd's ``RestartPreventExitStatus``."""
