"""Errors by which Redis says that it cannot write now, though it answers."""

from __future__ import annotations

from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

_NO_MEMORY = "OOM command not allowed"
_OTHERS = ("MISCONF", "NOREPLICAS", "READONLY")


def out_of_memory(error: ResponseError) -> bool:
    """Whether Redis has reached its ``maxmemory``.

    Where the command stood in a script, Redis 6 puts the reason at the end of a longer message.

    >>> out_of_memory(ResponseError("Error running script (call to f_04): -OOM command not allowed when used memory"))
    True
    """
    return isinstance(error, OutOfMemoryError) or _NO_MEMORY in str(error)


def disk_full(error: ResponseError) -> bool:
    """Whether Redis cannot write to its files.

    >>> disk_full(ResponseError("MISCONF Errors writing to the AOF file: No space left on device"))
    True
    """
    return "MISCONF" in str(error)


def cannot_write(error: ResponseError) -> bool:
    """Whether the same command may succeed later: memory or disk is full, or a replica took over.

    >>> cannot_write(ResponseError("MISCONF Errors writing to the AOF file: No space left on device"))
    True
    >>> cannot_write(ResponseError("Error running script (call to f_04): @user_script:17: -NOREPLICAS Not enough"))
    True
    >>> cannot_write(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"))
    False
    """
    known = out_of_memory(error) or isinstance(error, ReadOnlyError)
    return known or any(word in str(error) for word in _OTHERS)
