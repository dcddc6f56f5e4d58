"""Fields that a body must not have: a misspelt or misplaced one would else be ignored silently."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import msgspec.inspect
from fastapi import Request

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_SHOWN = 100


def unknown_name(message: str) -> str | None:
    """The field that msgspec's message says is unknown; None where it is about something else.

    >>> unknown_name("Object contains unknown field `nods`")
    'nods'
    """
    found = _UNKNOWN.fullmatch(message)
    return found["name"] if found else None


def shortened(name: str) -> str:
    """A name that a client has sent, of 100 characters at most: it may be as long as the body."""
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."


def fields_at(kind: Any, path: str) -> tuple[str, ...]:
    """The fields of the struct at a place of a body; none where there is no such place.

    >>> edge = msgspec.defstruct("Edge", [("src", str)])
    >>> fields_at(msgspec.defstruct("Body", [("edges", list[edge])]), "edges[0]")
    ('src',)

    Args:
        kind: type of the body.
        path: as msgspec writes it, without the leading ``$.``; empty for the body itself.
    """
    fields = _fields(msgspec.inspect.type_info(kind))
    # A name that a client has made up may look like a path.
    for name in re.findall(r"[A-Za-z_]+", path):
        fields = _fields(fields[name]) if name in fields else {}
    return tuple(fields)


def refusal(request: Request, name: str, known: Sequence[str]) -> str:
    """What is wrong with an unknown field, and what to use instead.

    Args:
        request: whose route tells the parameters of the address.
        name: of the field, shortened.
        known: fields that may stand there; empty where they are not told.
    """
    route = request.scope.get("route")
    dependant = getattr(route, "dependant", None)
    if dependant is not None and name in {parameter.alias for parameter in dependant.query_params}:
        return f"is a parameter of the address, not of the body: {request.method} {request.url.path}?{name}="
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"is unknown here: did you mean {close[0]}?"
    return f"is unknown here: what may be given is {', '.join(known)}" if known else "is unknown here"


def _fields(kind: msgspec.inspect.Type) -> dict[str, msgspec.inspect.Type]:
    """The fields of a struct, or of those in a list."""
    if isinstance(kind, msgspec.inspect.ListType):
        return _fields(kind.item_type)
    return (
        {field.encode_name: field.type for field in kind.fields} if isinstance(kind, msgspec.inspect.StructType) else {}
    )
