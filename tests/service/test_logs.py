from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from service.logs import configure_logging
configure_logging("info", {format!r})
structlog.get_logger("service.worker").info("caught up", nodes=3)
structlog.get_logger("service.worker").debug("not shown")
logging.getLogger("uvicorn.error").info("Started %s", "it", extra={{"color_message": "colour"}})
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("service.worker").exception("went wrong")
"""


def _log(format: str) -> str:  # noqa: A002
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(format=format)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == ""
    return ran.stderr


def test_json_lines_carry_everything_libraries_included() -> None:
    first, second, third = (json.loads(line) for line in _log("json").splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "caught up", "nodes": 3, "level": "info", "logger": "service.worker"}
    assert second.pop("timestamp")
    assert second == {"event": "Started it", "level": "info", "logger": "uvicorn.error"}
    assert "ZeroDivisionError" in third["exception"]


def test_console_lines_are_plain_where_there_is_no_terminal() -> None:
    log = _log("console")
    assert "caught up" in log
    assert "nodes=3" in log
    assert "not shown" not in log
    assert "ZeroDivisionError" in log
    assert "\x1b[" not in log
