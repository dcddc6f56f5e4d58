"""Log lines of every process: structlog and the standard library through one formatter."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from types import TracebackType
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

from service.redaction import printable, redacted, shortened
from service.tracebacks import MAX_CHARS, plain_traceback

_MAX_VALUE = 2_000
_MAX_ITEMS = 50
_MAX_DEPTH = 4
_MULTILINE = frozenset({"exception", "stack"})
_log = structlog.get_logger(__name__)


def configure_logging(
    level: str,
    format: Literal["console", "json"],  # noqa: A002
    *,
    with_process: bool = False,
) -> None:
    """Write the log to standard error, for people or one JSON object a line, without secrets.

    With ``with_process`` each line has the id of the process, as ``pid``.

    Loggers of libraries (uvicorn's among them) lose their own handlers and go the same way, and so do the errors that
    end the process or a thread. Every value is of bounded length; a traceback shows no local variables.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if with_process:
        shared.append(_add_process)
    renderers: list[Processor]
    if format == "json":
        renderers = [structlog.processors.JSONRenderer(serializer=_json)]
    else:
        # Its exception formatter is for exceptions only, which are text by then.
        renderers = [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_color,
                _with_traceback,
                _bounded,
                *renderers,
                _redacted,
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    # Every request of the client would be a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _log_the_end
    threading.excepthook = _log_the_end_of_a_thread


def _add_process(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["pid"] = os.getpid()
    return event


def _without_color(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Uvicorn sends every message a second time with terminal colours in it."""
    event.pop("color_message", None)
    return event


def _with_traceback(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The exception as text. Rendering local variables took seconds in which no request was answered."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = plain_traceback(error)
    return event


def _bounded(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Values of bounded length: an error's text may hold a whole request."""
    return {name: _short(value, 2 * MAX_CHARS if name in _MULTILINE else _MAX_VALUE) for name, value in event.items()}


def _short(value: object, most: int, depth: int = 0) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return shortened(value, most)
    if isinstance(value, bytes | bytearray | memoryview):
        return shortened(repr(bytes(value[:most])), most) + (f" of {len(value):,} bytes" if len(value) > most else "")
    if depth < _MAX_DEPTH and isinstance(value, dict):
        return {
            shortened(str(name), _MAX_VALUE): _short(item, most, depth + 1)
            for name, item in list(value.items())[:_MAX_ITEMS]
        }
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_short(item, most, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return shortened(repr(value), most)


def _printable(_logger: object, _method: str, event: EventDict) -> EventDict:
    """What comes from outside must not act on a terminal. JSON writes it out by itself."""
    return {
        name: printable(value, keep="\n" if name in _MULTILINE else "") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _json(event: EventDict, **options: Any) -> str:
    """One line of ASCII; JSON itself leaves DEL as it is."""
    return json.dumps(event, **options).replace("\x7f", "\\u007f")


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _log.critical("ended by an unexpected error", exc_info=error)


def _log_the_end_of_a_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "unknown"
    _log.error("a thread ended by an unexpected error", thread=name, exc_info=ended.exc_value)


def _redacted(_logger: object, _method: str, line: Any) -> Any:
    """The whole line at last, so that stack traces and texts of libraries are covered too."""
    return redacted(line)
