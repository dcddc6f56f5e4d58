"""Versions of Redis and Valkey servers, and which of them have known security holes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Project = Literal["redis", "valkey"]

# The first release of each line without a hole that its project had published by CHECKED_ON. Sources: the release notes
# of Valkey (21 July 2026: CVE-2026-56684, CVE-2026-63639) and of Redis (July and August 2026: CVE-2026-62356, ...).
CHECKED_ON = "2026-11-27"
_FIRST_SOUND: dict[Project, dict[tuple[int, int], int]] = {
    "valkey": {(7, 2): 14, (8, 0): 10, (8, 1): 9, (9, 0): 5, (9, 1): 1},
    "redis": {(6, 2): 23, (7, 2): 15, (7, 4): 11, (8, 2): 9, (8, 4): 6, (8, 6): 6, (8, 8): 2, (8, 10): 1},
}

_VERSION_LINE = re.compile(r"^(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class ServerVersion:
    """Version of a server, ``number`` as major, minor and patch."""

    project: Project
    number: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.project.capitalize()} {'.'.join(map(str, self.number))}"

    @property
    def has_known_holes(self) -> bool:
        """Whether its project has published a security hole of this version by :data:`CHECKED_ON`.

        A line that is not in the table is sound when it is newer than all that are, and else no longer maintained. A
        distribution may have mended its package without a new number; that cannot be seen here.

        >>> ServerVersion("redis", (6, 2, 14)).has_known_holes, ServerVersion("redis", (7, 0, 15)).has_known_holes
        (True, True)
        >>> ServerVersion("valkey", (9, 1, 2)).has_known_holes, ServerVersion("valkey", (9, 2, 0)).has_known_holes
        (False, False)
        """
        lines = _FIRST_SOUND[self.project]
        line, patch = self.number[:2], self.number[2]
        return patch < lines[line] if line in lines else line < max(lines)

    @property
    def sound_release(self) -> str:
        """The first release of the newest line without known holes, for advice.

        >>> ServerVersion("redis", (6, 2, 14)).sound_release
        'Redis 8.10.1'
        """
        lines = _FIRST_SOUND[self.project]
        line = max(lines)
        return str(ServerVersion(self.project, (*line, lines[line])))

    @property
    def rank(self) -> tuple[bool, bool, tuple[int, int, int]]:
        """The better a version is to run, the larger.

        Without known holes before any with; then Valkey, which the tests run on and whose licence is open source,
        before Redis; then the newer one. The numbers of the two projects are not comparable.

        >>> redis_old, redis_new = ServerVersion("redis", (7, 0, 15)), ServerVersion("redis", (8, 10, 2))
        >>> valkey_old, valkey_new = ServerVersion("valkey", (8, 0, 1)), ServerVersion("valkey", (9, 1, 2))
        >>> redis_old.rank < valkey_old.rank < redis_new.rank < valkey_new.rank
        True
        """
        return (not self.has_known_holes, self.project == "valkey", self.number)


def version_of_program(output: str) -> ServerVersion | None:
    """The version out of what a server program writes for ``--version``; None where it is neither project's.

    >>> str(version_of_program("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536df31c0395150"))
    'Valkey 9.1.2'
    """
    match = _VERSION_LINE.match(output)
    if match is None:
        return None
    project: Project = "valkey" if match[1] == "Valkey" else "redis"
    return ServerVersion(project, (int(match[2]), int(match[3]), int(match[4])))


def version_of_server(info: Mapping[str, Any]) -> ServerVersion | None:
    """The version out of a server's answer to ``INFO server``; None where it names none that is known here.

    A Valkey names the Redis that it is compatible with too.

    >>> str(version_of_server({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}))
    'Valkey 9.1.2'
    >>> version_of_server({"redis_version": "6.2.0-somebody-elses"}) is None
    True
    """
    project: Project = "valkey" if "valkey_version" in info else "redis"
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", str(info.get(f"{project}_version", "")))
    if match is None or info.get("server_name", project) != project:
        return None
    return ServerVersion(project, (int(match[1]), int(match[2]), int(match[3])))
