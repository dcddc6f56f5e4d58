"""What a file is, by its first bytes."""

from __future__ import annotations

import codecs
import contextlib
import io
import re
import zipfile
from pathlib import Path
from typing import Literal

from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import PARQUET, ZIP, encoding_of, first_bytes, opened_whole, unwrapping
from service.replay.json_text import JsonText
from service.replay.tables.changes import OPERATIONS

Kind = Literal["archive", "csv", "events", "graphml", "json", "parquet", "torch"]
Shape = Literal["changes", "events", "graph", "rows"]
_OF_GRAPHS = ("nodes", "links", "edges", "adjacency", "elements")
_BRACKETED_HEADER = re.compile(r"(?:<[^<>\n]*>|\[[^\[\]{}\"\n]*\])[ \t]*[,;\t|]")
"""A header of CSV whose names stand in brackets: ``<TICKER>,<DATE>`` or ``[id],[amount]``."""
_SEPARATORS = re.compile("[,;\t|]")


def head_of(path: Path) -> bytes:
    """The beginning of a file of text, without compression."""
    with path.open("rb") as file, unwrapping(file, str(path)) as (_, stream):
        return stream.read(1 << 16)


def kind_of(path: Path) -> Kind:
    """The kind of a file; ``events`` where it is none of the others, as their reader names what else it is.

    Raises:
        UnreadableDataset: it is compressed and damaged, or of a kind that is not read.
    """
    begin = first_bytes(path)
    if begin.startswith(ZIP) or path.suffix == ".npz":
        return "torch" if _holds_tensors(path) else "archive"
    if begin.startswith(PARQUET):
        return "parquet"
    return kind_of_text(head_of(path))


def kind_of_text(head: bytes) -> Kind:
    """The kind of a text by its beginning, without compression; ``json`` where it is events, rows or a graph.

    >>> kind_of_text(b'{"op": "remove_node", "id": 1}'), kind_of_text(b"payer,payee")
    ('json', 'csv')
    """
    begin = begin_of(head)
    if _BRACKETED_HEADER.match(begin):
        return "csv"
    if begin.startswith("<"):
        return "graphml"
    if begin.startswith(("{", "[")):
        return "json"
    first = begin.partition("\n")[0]
    return "csv" if _SEPARATORS.search(first) and "\0" not in first else "events"


def begin_of(head: bytes) -> str:
    """The beginning of a text from its first character on, without a byte order mark."""
    text = head.removeprefix(codecs.BOM_UTF8).decode(encoding_of(head) or "utf-8", errors="replace")
    return text.lstrip("\ufeff").lstrip()


def shape_of_json(head: bytes) -> Shape:
    """What a JSON text holds, by the keys of its first object.

    >>> shape_of_json(b'[{"op": "remove_node", "id": 1}]'), shape_of_json(b'{"nodes": [], "links": []}')
    ('events', 'graph')
    """
    keys: dict[str, object] = {}
    holding: set[str] = set()
    text = JsonText(io.BytesIO(head), head, "")
    with contextlib.suppress(UnreadableDataset):  # It ends where the head does.
        if text.peek() == "[":
            first = next(text.items(), None)
            keys = first if isinstance(first, dict) else {}
        else:
            for key in text.members():
                keys[key] = None
                if text.peek() in {"[", "{"}:
                    holding.add(key)
                if key == "op":
                    keys[key] = text.value()
                else:
                    text.skip()
    if keys.get("op") is not None and keys["op"] not in OPERATIONS:
        return "events"
    if not keys.keys().isdisjoint({"op", "payload", "__deleted", "__op"}):
        return "changes"
    if not holding.isdisjoint(_OF_GRAPHS):
        return "graph"
    return "rows" if keys else "events"


def _holds_tensors(path: Path) -> bool:
    try:
        with opened_whole(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        if path.suffix not in {".npz", ".pt", ".pth"}:
            raise UnreadableDataset(f"{path} is a zip archive, and not whole: fetch or copy it again") from None
        return path.suffix != ".npz"
    if any(name in {"xl/workbook.xml", "content.xml"} for name in names):
        raise UnreadableDataset(f"{path} is a workbook of Excel or LibreOffice: save its sheet as CSV")
    if names and not any(name.endswith((".npy", "data.pkl")) for name in names):
        raise UnreadableDataset(f"{path} is a zip archive of {', '.join(names[:3])}: unpack it")
    return any(name.endswith("data.pkl") for name in names)
