"""Server-side Lua scripts: each runs in Redis as one atomic step."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_SHARED = {
    "append": "add_classes",
    "declare": "add_classes",
    "check_log": "last_position",
    "swap_log": "last_position",
}
"""Scripts that use a function of another file, whose text comes before theirs."""


@cache
def script(name: str) -> str:
    """The text of one of the scripts in this folder, with the function that it shares with another one in front.

    >>> "XADD" in script("append") and "function add_classes" in script("append")
    True
    """
    own = files(__name__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
    return script(_SHARED[name]) + own if name in _SHARED else own
