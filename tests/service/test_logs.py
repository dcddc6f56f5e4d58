from __future__ import annotations

import json
import subprocess
import sys

import pytest

from service.tracebacks import MAX_CHARS, plain_traceback

PROGRAM = """
import logging, structlog
from service.logs import configure_logging
configure_logging("info", {format!r})
structlog.get_logger("service.worker.loop").info("caught up", nodes=3)
structlog.get_logger("service.worker.loop").debug("not shown")
logging.getLogger("uvicorn.error").info("Started %s", "it", extra={{"color_message": "colour"}})
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("service.worker.loop").exception("went wrong")
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
    assert first == {"event": "caught up", "nodes": 3, "level": "info", "logger": "service.worker.loop"}
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


FAILS = """
import asyncio, sys, time
from unittest import mock
import structlog
from fastapi import Request
from starlette.testclient import TestClient
from service.api.app import create_app
from service.logs import configure_logging
from service.settings import Settings
configure_logging("info", {format!r})
app = create_app(Settings(redis_url="redis://127.0.0.1:1/0", allow_anonymous=True))
took = []

@app.post("/fails")
async def fails(request: Request):
    body = await request.body()
    parts = [body[i : i + 1000] for i in range(0, len(body), 1000)]
    names = {{str(i): list(range(100)) for i in range(1000)}}
    began = time.perf_counter()
    try:
        raise ValueError(body.decode())
    finally:
        took.append(began)

answer = TestClient(app, base_url="http://127.0.0.1").post("/fails", content=b"x" * 16 * 2**20)
print(answer.status_code, time.perf_counter() - took[0])
"""


@pytest.mark.parametrize("format", ["console", "json"])
def test_an_unexpected_error_is_a_short_line_whatever_the_locals_hold(format: str) -> None:  # noqa: A002
    ran = subprocess.run(
        [sys.executable, "-c", FAILS.format(format=format)], capture_output=True, text=True, check=True
    )
    status, seconds = ran.stdout.split()
    assert status == "500"
    # It was 8 to 14 s; a loaded machine may take some of the time for itself.
    assert float(seconds) < 1.0
    assert len(ran.stderr) < 2 * MAX_CHARS
    assert len(ran.stderr.splitlines()) < 120
    assert "16,775,216 characters left out" in ran.stderr
    assert "in fails" in ran.stderr


def test_long_chains_and_deep_stacks_are_cut() -> None:
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise ValueError("y" * 5_000)

    error: Exception | None = None
    for number in range(1_000):
        following = RuntimeError(f"number {number} " + "z" * 3_000)
        following.__cause__, error = error, following
    try:
        try:
            deep(500)
        except ValueError as innermost:
            innermost.__cause__ = error
            raise KeyError("outermost") from innermost
    except KeyError as caught:
        text = plain_traceback(caught)
    assert len(text) < 2 * MAX_CHARS
    assert text.endswith("KeyError: 'outermost'")
    assert "ValueError: yyy" in text
    assert "frames left out" in text
    assert "number 999" in text
    assert "number 900" not in text


def test_groups_notes_and_messages_that_cannot_be_made() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise MemoryError

    noted = ExceptionGroup("several", [ValueError("first"), Unspeakable()])
    noted.add_note("while testing")
    text = plain_traceback(noted)
    assert "ExceptionGroup: several" in text
    assert "in it: ValueError: first" in text
    assert "its message cannot be made" in text
    assert "while testing" in text


ENDS = """
import threading
from service.logs import configure_logging
configure_logging("info", "json")
def ends(): raise ValueError("in a thread")
thread = threading.Thread(target=ends); thread.start(); thread.join()
big = ["x" * 1000] * 100000
raise ValueError("\\x1b[2J redis://:secret@h/0")
"""


def test_what_ends_a_process_or_a_thread_is_a_log_line_too() -> None:
    ran = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    thread, process = (json.loads(line) for line in ran.stderr.splitlines())
    assert "in a thread" in thread["exception"]
    assert "redis://***@h/0" in process["exception"]


HOSTILE = """
import logging, structlog
from service.logs import configure_logging
configure_logging("info", {format!r})
bad = {bad!r}
structlog.get_logger("t").info(bad, one=bad, many=[bad], named={{bad: bad}}, raw=bad.encode("utf-8", "surrogatepass"))
logging.getLogger("t").warning("%s", bad)
try:
    raise ValueError(bad + "\\n2026-01-01 [info] forged")
except ValueError:
    structlog.get_logger("t").exception("went wrong")
"""
BAD = "\x1b[2J\x00\x7f\x9b\x85\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\ud800\U000e0041"


@pytest.mark.parametrize("format", ["console", "json"])
def test_nothing_from_outside_acts_on_a_terminal(format: str) -> None:  # noqa: A002
    ran = subprocess.run(
        [sys.executable, "-c", HOSTILE.format(format=format, bad=BAD)], capture_output=True, text=True, check=True
    )
    assert all(letter.isprintable() for letter in ran.stderr.replace("\n", ""))
    assert not any(line.startswith("2026-01-01") for line in ran.stderr.splitlines())
    assert "u202e" in ran.stderr
