"""Where an archive is: a directory, or a folder behind a URL that fsspec reads and writes."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any, Protocol

from olad_core.errors import OladError
from service.redaction import redacted

_PART = ".part"


class ArchiveUnusable(OladError, RuntimeError):
    """An archive that cannot be opened, read or written; the message names the place and the reason."""


class Place(Protocol):
    """A folder of files that are there whole or not at all.

    Every method raises :class:`ArchiveUnusable` where the place cannot be used.
    """

    @property
    def name(self) -> str:
        """The place for people, without secrets."""

    def names(self) -> list[str]:
        """Names of the files in it; none where the folder is not there."""

    def read(self, name: str) -> bytes:
        """The content of a file."""

    def write(self, name: str, content: bytes) -> None:
        """Make a file with this content, or replace it. A write that ends midway leaves no file of this name."""

    def clear_parts(self) -> None:
        """Delete what writes that ended midway have left."""


def open_place(location: str, graph: str) -> Place:
    """The folder of a graph in an archive.

    Args:
        location: directory or URL of the archive.
        graph: name of the graph.

    Raises:
        ArchiveUnusable: a URL without fsspec, or of a kind that it cannot use.
    """
    if "://" in location:
        return UrlPlace(f"{location.rstrip('/')}/{graph}")
    return DirectoryPlace(Path(location) / graph)


class DirectoryPlace:
    """A directory. What is written is on the disk when :meth:`write` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The directory."""
        return str(self._path)

    def names(self) -> list[str]:
        """Names of the files in it; none where the folder is not there."""
        try:
            return [path.name for path in self._path.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from error

    def read(self, name: str) -> bytes:
        """The content of a file."""
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise self._unusable(error) from error

    def write(self, name: str, content: bytes) -> None:
        """Make a file with this content, or replace it."""
        part = self._path / f".{name}.{secrets.token_hex(4)}{_PART}"
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with part.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self._path / name)
            finally:
                part.unlink(missing_ok=True)
            folder = os.open(self._path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unusable(error) from error

    def clear_parts(self) -> None:
        """Delete what writes that ended midway have left."""
        for name in self.names():
            if name.startswith(".") and name.endswith(_PART):
                with contextlib.suppress(OSError):
                    (self._path / name).unlink()

    def _unusable(self, error: OSError) -> ArchiveUnusable:
        return ArchiveUnusable(f"the archive {self._path} cannot be used: {error.strerror or error}")


class UrlPlace:
    """A folder behind a URL, such as ``s3://bucket/folder``.

    A file is written under another name and then renamed, so that a connection that breaks leaves no part of it.
    """

    def __init__(self, url: str) -> None:
        self._name = redacted(url)
        self._secret = url.partition("://")[2].rpartition("@")[0]
        try:
            import fsspec  # noqa: PLC0415  # torch brings it; a directory does not need it
        except ImportError:
            raise ArchiveUnusable(f"the archive {self._name} needs fsspec: pip install fsspec") from None
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise ArchiveUnusable(f"the archive {self._name} cannot be opened: {self._reason(error)}") from None

    @property
    def name(self) -> str:
        """The URL without secrets."""
        return self._name

    def names(self) -> list[str]:
        """Names of the files in it; none where the folder is not there."""

        def listed() -> list[str]:
            self._fs.invalidate_cache()
            try:
                return [str(path).rsplit("/", 1)[-1] for path in self._fs.ls(self._root, detail=False)]
            except FileNotFoundError:
                return []

        return list(self._try(listed))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return bytes(self._try(lambda: self._fs.cat_file(self._path(name))))

    def write(self, name: str, content: bytes) -> None:
        """Make a file with this content, or replace it."""

        def written() -> None:
            part = self._path(f"{name}.{secrets.token_hex(4)}{_PART}")
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(part, content)
            self._fs.mv(part, self._path(name))

        self._try(written)

    def clear_parts(self) -> None:
        """Delete what writes that ended midway have left."""
        for name in self.names():
            if name.endswith(_PART):
                with contextlib.suppress(ArchiveUnusable):
                    self._try(lambda name=name: self._fs.rm_file(self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _try(self, step: Any) -> Any:
        # Each kind of storage has error classes of its own.
        try:
            return step()
        except Exception as error:
            raise ArchiveUnusable(f"the archive {self._name} cannot be used: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        text = str(error).replace(self._secret, "***") if self._secret else str(error)
        return redacted(text) or type(error).__name__
