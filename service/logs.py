"""Log lines of every process: structlog and the standard library through one formatter."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

from service.redaction import printable, redacted


def configure_logging(level: str, format: Literal["console", "json"]) -> None:  # noqa: A002
    """Write the log to standard error, for people or one JSON object a line, without secrets.

    Loggers of libraries (uvicorn's among them) lose their own handlers and go the same way.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderers: list[Processor]
    if format == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderers = [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_color,
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


def _without_color(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Uvicorn sends every message a second time with terminal colours in it."""
    event.pop("color_message", None)
    return event


def _printable(_logger: object, _method: str, event: EventDict) -> EventDict:
    """A node id with escape sequences in it must not reach a terminal; JSON writes them out by itself."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _redacted(_logger: object, _method: str, line: Any) -> Any:
    """The whole line at last, so that stack traces and texts of libraries are covered too."""
    return redacted(line)
