"""Files of events in every wrapping, and files that are something else."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import subprocess
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from olad_core.events import UpsertEdge, UpsertNode
from service.replay.arrival_stream import UnreadableDataset
from service.replay.event_files import LONGEST_LINE, read_lines
from service.replay.sources import SourceNotFound, open_source

LINES = '{"op": "upsert_node", "id": "é"}\n\n{"op": "upsert_edge", "src": "é", "dst": "b"}\n'
EVENTS = (UpsertNode(id="é"), UpsertEdge(src="é", dst="b"))
PLAIN = LINES.encode()


def _arrow(codec: str, content: bytes) -> bytes:
    """Compressed as the programs of that name do."""
    written = pa.BufferOutputStream()
    with pa.CompressedOutputStream(written, codec) as stream:
        stream.write(content)
    return bytes(written.getvalue())


READ: dict[str, bytes] = {
    "UTF-8": PLAIN,
    "a byte order mark": codecs.BOM_UTF8 + PLAIN,
    "a mark in the middle": PLAIN.replace(b"\n\n", b"\n\n" + codecs.BOM_UTF8),
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "no last line end": PLAIN.rstrip(),
    "UTF-16 LE": codecs.BOM_UTF16_LE + LINES.encode("utf-16-le"),
    "UTF-16 BE": codecs.BOM_UTF16_BE + LINES.encode("utf-16-be"),
    "UTF-16 LE without a mark": LINES.encode("utf-16-le"),
    "UTF-16 BE without a mark": LINES.encode("utf-16-be"),
    "UTF-16 with CRLF": LINES.replace("\n", "\r\n").encode("utf-16"),
    "UTF-32": LINES.encode("utf-32"),
    "gzip": gzip.compress(PLAIN),
    "gzip in two parts": gzip.compress(PLAIN[:20]) + gzip.compress(PLAIN[20:]),
    "gzip of UTF-16": gzip.compress(LINES.encode("utf-16")),
    "bzip2": bz2.compress(PLAIN),
    "xz": lzma.compress(PLAIN),
    "zstd": _arrow("zstd", PLAIN),
    "lz4": _arrow("lz4", PLAIN),
}


@pytest.mark.parametrize("name", ["events.ndjson", "events.gz", "events", "events.npz.txt"])
@pytest.mark.parametrize("kind", sorted(READ))
def test_read_whatever_its_name(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(READ[kind])
    (batch,) = open_source(str(path)).batches
    assert batch.events == EVENTS


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, label=np.array([0, 1]), edges=np.array([[0], [1]]))
    return file.getvalue()


def test_an_archive_of_arrays_by_another_name_is_one(tmp_path: Path) -> None:
    path = tmp_path / "graph.zip"
    path.write_bytes(_archive())
    assert open_source(str(path)).nodes == 2


def _zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return file.getvalue()


NAMED: dict[str, tuple[bytes, str]] = {
    "Parquet, cut": (b"PAR1\x15\x04\x15 and so on", "not a whole Parquet file"),
    "Parquet, zipped": (
        gzip.compress(b"PAR1\x15\x04\x15 and so on"),
        "not a whole Parquet file",
    ),
    "CSV": (b"src,dst,ts\na,b,1\n", "is CSV; it has the columns src, dst, ts: name them with --source and --target"),
    "CSV with a mark": (codecs.BOM_UTF8 + b"src;dst\na;b\n", "is CSV; it has the columns src, dst: name them"),
    "tabs": (b"src\tdst\na\tb\n", "is CSV; it has the columns src, dst: name them"),
    "CSV, zipped": (gzip.compress(b"src,dst\na,b\n"), "is CSV; it has the columns src, dst: name them"),
    "CSV in UTF-16": ("src,dst\na,b\n".encode("utf-16"), "is CSV; it has the columns src, dst: name them"),
    "half a JSON array": (b'[\n{"op": "upsert_node", "id": 1},\n', "line 3: ends too early: fetch or write it again"),
    "one long JSON array": (b"[" + b'{"op":"upsert_node","id":1},' * 99_999, "line 1: ends too early: fetch or write"),
    "a wrong event in an array": (b'[{"op": "upsert_node", "id": 1}, {"op": "go"}]', "event 2: Invalid value 'go'"),
    "XML": (b"<rows/>\n", "is XML with the root <rows>, and no GraphML"),
    "GML": (b"graph [\n  node [\n", r"looks like GML, which is not read: .*networkx\.read_gml"),
    "Pajek": (b"*vertices 34\n1 0\n", "looks like a Pajek file"),
    "an adjacency list": (b"# GMT Sat\n0 1 2\n", "looks like an adjacency list of NetworkX"),
    "an edge list": (b"0 1 {'weight': 4}\n0 2 {'weight': 5}\n", "looks like an edge list of NetworkX"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and so on", "is a workbook of Excel: save its sheet as CSV"),
    "Avro": (b"Obj\x01 and so on, longer", "is an Avro file: write Parquet or CSV"),
    "a workbook": (_zipped("xl/workbook.xml"), "is a workbook of Excel or LibreOffice: save its sheet as CSV"),
    "a zip, cut": (_zipped("payments.csv")[:40], "is a zip archive, and not whole: fetch or copy it again"),
    "a zipped table": (_zipped("payments.csv", "notes.txt"), "is a zip archive of payments.csv, notes.txt: unpack it"),
    "no zstd": (b"\x28\xb5\x2f\xfd and so on, longer", "not a whole zstd file"),
    "no lz4": (b"\x04\x22\x4d\x18 and so on, longer", "not a whole lz4 file"),
    "half a zstd file": (_arrow("zstd", PLAIN * 100)[:-5], "not a whole zstd file"),
    "a pickle": (b"\x80\x04\x95 and so on, longer", "a Python pickle, which is never read"),
    "HDF5": (b"\x89HDF\r\n\x1a\n and so on", "an HDF5 file"),
    "SQLite": (b"SQLite format 3\0 and so on", "an SQLite database"),
    "an array": (b"\x93NUMPY and so on, longer", "a single NumPy array"),
    "binary": (b"ELF\0\0\0 and so on, longer", "a binary file of a kind that is not known"),
    "half a gzip file": (gzip.compress(PLAIN * 100)[:-20], "not a whole gzip file"),
    "the head of a gzip file": (gzip.compress(PLAIN)[:5], "not a whole gzip file"),
    "gzip and more": (gzip.compress(PLAIN * 100) + b"garbage", "not a whole gzip file"),
    "half a bzip2 file": (bz2.compress(os.urandom(9999).hex().encode())[:-20], "not a whole bzip2 file"),
    "half an xz file": (lzma.compress(PLAIN * 100)[:-20], "not a whole xz file"),
    "half of UTF-16": (LINES.encode("utf-16") + b"\n", "not whole UTF-16"),
    "a line without end": (b'{"op": "upsert_node", "id": "' + b"x" * LONGEST_LINE, "line 1: longer than 16,777,216"),
}


@pytest.mark.parametrize("kind", sorted(NAMED))
def test_said_in_one_line_what_it_is(tmp_path: Path, kind: str) -> None:
    content, message = NAMED[kind]
    path = tmp_path / "events.ndjson"
    path.write_bytes(content)
    with pytest.raises(UnreadableDataset, match=message) as error:
        list(open_source(str(path)).batches)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_an_archive_without_arrays_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.zip"
    path.write_bytes(_archive().replace(b"label.npy", b"other.npy").replace(b"edges.npy", b"sides.npy"))
    with pytest.raises(UnreadableDataset, match=r"events\.zip: has no array 'edges'"):
        open_source(str(path))


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="is a folder"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_pipe_by_name_is_read_and_cannot_be_resumed(tmp_path: Path, wrap: Callable[[bytes], bytes]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(wrap(PLAIN),))
    writer.start()
    source = open_source(str(pipe))
    assert source.identity is None
    (batch,) = source.batches
    assert batch.events == EVENTS
    writer.join()


def test_lines_of_a_pipe_come_as_they_are_written() -> None:
    with subprocess.Popen(
        ["sh", "-c", f"printf '%s\n' '{PLAIN.splitlines()[0].decode()}'; read _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert next(read_lines(process.stdout, "a pipe")).startswith(b'{"op"')
        process.stdin.close()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "large.gz"
    line = '{"op": "upsert_node", "id": "a"}\n'.encode(encoding)
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(2_000):
            file.write(line * 500)
    tracemalloc.start()
    with path.open("rb") as opened:
        count = sum(1 for _ in read_lines(opened, "large"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1_000_000
    assert peak < 2**20
