"""The terminal that commands print to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from service.redaction import printable

_Report = TypeVar("_Report", bound=BaseModel)


class Terminal(Console):
    """A console without control sequences: characters that Unicode does not count as printable are escaped."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The printed form of a value without control characters."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text, keep="\n"), style)


def shown(text: str) -> str:
    r"""A text from outside as one line of a console, without markup.

    >>> shown("[bold]a\nb")
    '\\[bold]a\\nb'
    """
    return escape(printable(text))


def shown_report(report: _Report) -> _Report:
    """The report with every text in it as :func:`shown` makes it."""
    return type(report).model_validate(_shown(report.model_dump()))


def _shown(value: object) -> object:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {_shown(name): _shown(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_shown(item) for item in value]
    return value
