"""Server-side Lua scripts: each runs in Redis as one atomic step."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """The text of one of the scripts in this folder.

    >>> "XADD" in script("append")
    True
    """
    return files(__name__).joinpath(f"{name}.lua").read_text(encoding="utf-8")
