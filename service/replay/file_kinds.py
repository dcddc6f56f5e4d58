"""What a file is, by its first bytes."""

from __future__ import annotations

import codecs
import re
import zipfile
from pathlib import Path
from typing import Literal

from service.replay.event_files import encoding_of, is_zip, unwrapping

Kind = Literal["archive", "csv", "events", "graphml", "parquet", "torch"]
_SEPARATORS = re.compile("[,;\t|]")


def kind_of(path: Path) -> Kind:
    """The kind of a file; ``events`` where it is none of the others, as their reader names what else it is.

    Raises:
        UnreadableDataset: it is compressed and damaged, or of a kind that is not read.
    """
    if is_zip(path) or path.suffix == ".npz":
        return "torch" if is_zip(path) and _holds_tensors(path) else "archive"
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return "parquet"
        file.seek(0)
        with unwrapping(file, str(path)) as (_, stream):
            return kind_of_text(stream.read(1 << 16))


def kind_of_text(head: bytes) -> Kind:
    """The kind of a text by its beginning, without compression.

    >>> kind_of_text(b'{"op": "remove_node", "id": 1}'), kind_of_text(b"payer,payee")
    ('events', 'csv')
    """
    text = head.removeprefix(codecs.BOM_UTF8).decode(encoding_of(head) or "utf-8", errors="replace").lstrip("\ufeff")
    begin = text.lstrip()
    if begin.startswith("<"):
        return "graphml"
    if begin.startswith(("{", "[")):
        return "events"
    first = text.partition("\n")[0]
    return "csv" if _SEPARATORS.search(first) and "\0" not in first else "events"


def _holds_tensors(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
