"""Errors by which Redis says that it cannot write now, though it answers."""

from __future__ import annotations

from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

_WORDS = ("MISCONF", "NOREPLICAS")


def cannot_write(error: ResponseError) -> bool:
    """Whether the same command may succeed later: memory or disk is full, or a replica took over.

    >>> cannot_write(ResponseError("MISCONF Errors writing to the AOF file: No space left on device"))
    True
    >>> cannot_write(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    False
    """
    return isinstance(error, OutOfMemoryError | ReadOnlyError) or str(error).startswith(_WORDS)
