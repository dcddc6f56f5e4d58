"""A file that is not what it seems ends with one line: what it is, where, and what to do."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from service.replay.arrival_stream import UnreadableDataset
from service.replay.sources import open_source
from service.replay.table_options import TableOptions, WrongMapping

EDGES = TableOptions(source="a", target="b")
NODES = TableOptions(source="a", target="b", as_node=True, features=("x",), time="t", label="y")
HEADER = "a,b,x,t,y\n"
ROW = "p,q,1.5,2026-01-01,ok\n"
GOOD = (HEADER + ROW * 3).encode()


def _with(row: str) -> bytes:
    """A wrong row in line 3 of five."""
    return (HEADER + ROW + row + "\n" + ROW * 2).encode()


def _parquet(**columns: Sequence[Any]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


WRONG: dict[str, tuple[bytes, TableOptions, str]] = {
    "no columns stated": (GOOD, TableOptions(), r"is CSV; it has the columns a, b, x, t, y: name them with --source"),
    "Parquet without columns stated": (
        _parquet(a=["p"]),
        TableOptions(),
        "is a Parquet file; it has the columns a: name",
    ),
    "an unknown column": (GOOD, TableOptions(source="a", target="bb"), r"no column 'bb' \(did you mean 'b'\?\)"),
    "a column that is there twice": (b"a,b,a\np,q,r\n", EDGES, "two columns 'a'; it has the columns a, b, a"),
    "nothing": (b"", EDGES, "is empty: its first line must hold the names"),
    "an empty header": (b"\n\n1,2\n", EDGES, "the first line is empty"),
    "a header without end": (b"x" * 2**20, EDGES, "the first line is longer than 1,048,576 bytes: not CSV"),
    "a short row": (_with("p,q"), NODES, "line 3: 2 values, but the header names 5 columns: 'p,q'; quote values that"),
    "a row too long": (_with("p,q,1,2,3,4"), NODES, "line 3: 6 values, but the header names 5 columns"),
    "a quotation mark left open": (_with('"p,q,1,2026-01-01,ok'), NODES, "line 3: .*; close its quotation mark"),
    "a quotation mark left open in a large file": (
        (HEADER + '"' + ROW * 300_000).encode(),
        NODES,
        "line 2.*: .*close its quotation mark",
    ),
    "Latin-1": (
        _with("José,q,1,2026-01-01,ok").replace("é".encode(), b"\xe9"),
        NODES,
        "line 3: byte 0xe9 is not UTF-8; if 'José,q,1,202.*' is right, the file is Latin-1: --encoding latin-1",
    ),
    "Latin-1 in the header": (b"a,b,\xe9\n1,2,3\n", EDGES, "line 1: byte 0xe9 is not UTF-8"),
    "another encoding than stated": (
        b"a,b\n1,\x98\n",
        TableOptions(source="a", target="b", encoding="ascii"),
        "is not whole ASCII",
    ),
    "half of UTF-16": ((HEADER + ROW).encode("utf-16") + b"x", NODES, "is not whole UTF-16"),
    "UTF-16 without a mark": (
        (HEADER + ROW).encode("utf-16-le"),
        NODES,
        "where it is CSV in UTF-16: --encoding utf-16-le",
    ),
    "half a gzip file": (
        gzip.compress((HEADER + ROW * 99_999).encode())[:-9],
        NODES,
        "not a whole gzip file .*: fetch or",
    ),
    "half a Parquet file": (_parquet(a=["p"] * 99, b=["q"] * 99)[:-9], EDGES, "not a whole Parquet file .*: fetch or"),
    "a damaged Parquet file": (
        _parquet(a=[str(i) for i in range(999)], b=["q"] * 999).replace(b"\x00", b"\xff", 9),
        EDGES,
        "not a whole Parquet file",
    ),
    "a nested column": (
        _parquet(a=[{"id": "p"}], b=["q"]),
        EDGES,
        r"no column 'a'.*it has the columns a\.id, b",
    ),
    "a column of lists": (
        _parquet(a=[["p"]], b=["q"]),
        EDGES,
        r"column 'a' is nested \(list<.*: string>\): write its parts as columns of their own",
    ),
    "no id": (_with(",q,1,2026-01-01,ok"), EDGES, "line 3, column 'a': the id of a node is missing"),
    "a long id": (
        _with("p" * 300 + ",q,1,2026-01-01,ok"),
        EDGES,
        "line 3, column 'a': an id of 300 bytes: 256 at most",
    ),
    "fractional ids": (_parquet(a=[1.5], b=["q"]), EDGES, "row 1, column 'a': 1.5 names nothing"),
    "text among numbers": (
        _with("p,q,many,2026-01-01,ok"),
        NODES,
        r"line 3, column 'x': 'many' is no number, as the other values are \(where they are names: --categories x\)",
    ),
    "a number with thousands": (
        _with('p,q,"1,234.50",2026-01-01,ok'),
        NODES,
        "line 3, column 'x': '1,234.50' is no number: write it without signs, as 1234.50",
    ),
    "a number with a currency": (
        _with("p,q,€ 5,2026-01-01,ok"),
        NODES,
        "line 3, column 'x': '€ 5' is no number: .* as 5",
    ),
    "thousands in every number": (
        ("a,b,x\n" + "".join(f'p,q,"{n},000.5"\n' for n in range(1, 99))).encode(),
        TableOptions(source="a", target="b", as_node=True, features=("x",)),
        "line 2, column 'x': '1,000.5' is no number: write it without signs, as 1000.5 .where they are names",
    ),
    "decimal commas": (
        b"a;b;x\np;q;1.234,50\np;q;12,00\n",
        TableOptions(source="a", target="b", as_node=True, features=("x",)),
        "line 2, column 'x': '1.234,50' is no number: write it without signs, as 1234.50",
    ),
    "percentages": (
        b"a,b,x\np,q,5%\np,q,6 %\np,q,n/a\n",
        TableOptions(source="a", target="b", as_node=True, features=("x",)),
        "line 2, column 'x': '5%' is no number: write it without signs, as 5",
    ),
    "no header": (
        b"1,p,q,2.5\n2,r,s,3.5\n",
        EDGES,
        "no column 'a'; .* its first line must hold the names of the columns",
    ),
    "one column without options": (
        b"id\n1\n2\n",
        TableOptions(),
        "is no JSON .it begins with 'id'.: .* named with --id",
    ),
    "infinity": (_with("p,q,inf,2026-01-01,ok"), NODES, "line 3, column 'x': inf is not finite in float32"),
    "a number beyond float32": (_with("p,q,1e39,2026-01-01,ok"), NODES, r"line 3, column 'x': 1e\+39 is not finite"),
    "no ISO date": (
        _with("p,q,1,31/12/2026,ok"),
        NODES,
        "line 3, column 't': '31/12/2026' is no date of ISO 8601: write 2024-12-31 or",
    ),
    "a date among numbers": (
        b"a,b,t\np,q,1767225600\np,q,2026-01-01\n",
        TableOptions(source="a", target="b", time="t"),
        "line 3, column 't': '2026-01-01' is no number",
    ),
    "times of two units": (
        b"a,b,t\np,q,1767225600\np,q,1767225600000\n",
        TableOptions(source="a", target="b", time="t"),
        r"column 't': times go from 1.76723e\+09 to 1.76723e\+12, .* state it with --time-unit",
    ),
    "names without number as features": (
        ("a,b,x\n" + "".join(f"p,q,name {n}\n" for n in range(99))).encode(),
        TableOptions(source="a", target="b", as_node=True, features=("x",)),
        "column 'x': more than 64 different names, such as 'name 0': leave it out of --features, or list",
    ),
    "a class for each row": (
        ("a,b,x\n" + "".join(f"p,q,name {n}\n" for n in range(1001))).encode(),
        TableOptions(source="a", target="b", as_node=True, label="x"),
        "column 'x' has more than 1,000 different classes: is it the one of labels",
    ),
    "a weight of nothing": (
        b"a,b,w\np,q,1\np,q,0\n",
        TableOptions(source="a", target="b", weight="w"),
        "line 3, column 'w': a weight of 0: above 0",
    ),
    "a line after quoted line ends": (
        b'a,b\n"p\np",q\n\nr,s\n,t\n',
        EDGES,
        "line 6, column 'a': the id of a node is missing",
    ),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_one_line_names_what_it_is_where_and_what_to_do(tmp_path: Path, kind: str) -> None:
    content, tables, message = WRONG[kind]
    path = tmp_path / "payments.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableDataset, match=message) as error:
        list(open_source(str(path), tables=tables).batches)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("content", "stated"),
    [
        (codecs.BOM_UTF8 + GOOD, {}),
        (GOOD.replace(b"\n", b"\r\n"), {}),
        (GOOD.rstrip(), {}),
        (GOOD.replace(b",", b";"), {}),
        (GOOD.replace(b",", b"\t"), {}),
        (GOOD.decode().encode("utf-16"), {}),
        (GOOD.decode().encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (gzip.compress(GOOD), {}),
        (gzip.compress(GOOD[:20]) + gzip.compress(GOOD[20:]), {}),
        (GOOD.replace(b"\n", b"\n\n"), {}),
        (GOOD.replace(b"\n", b"\n  \n"), {}),
        (GOOD.replace(b",", b" , "), {}),
        (GOOD.replace(b",", b"#"), {"delimiter": "#"}),
    ],
    ids=[
        "mark",
        "CRLF",
        "no end",
        "semicolons",
        "tabs",
        "UTF-16",
        "stated",
        "gzip",
        "two gzips",
        "empty lines",
        "blank lines",
        "spaces",
        "#",
    ],
)
def test_what_is_only_written_another_way_is_read(tmp_path: Path, content: bytes, stated: dict[str, Any]) -> None:
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    plain.write_bytes(GOOD)
    other.write_bytes(content)
    (expected,) = open_source(str(plain), tables=NODES).batches
    (found,) = open_source(str(other), tables=replace(NODES, **stated)).batches
    assert found == expected
    assert len(found.nodes) == 3


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (TableOptions(source="a"), "name the columns of both ends"),
        (TableOptions(source="a", target="b", label="y"), "--label is of rows that are nodes.*--as-node"),
        (TableOptions(source="a", target="b", features=("x",)), "--features is of rows that are nodes"),
        (TableOptions(source="a", target="b", id="x"), "--id is of rows that are nodes"),
        (TableOptions(source="a", target="b", delimiter="ab"), "--delimiter: "),
        (TableOptions(source="a", target="b", encoding="utf-99"), "--encoding: .*'utf-99' is no encoding"),
    ],
)
def test_options_that_do_not_fit_are_named(tmp_path: Path, tables: TableOptions, message: str) -> None:
    path = tmp_path / "payments.csv"
    path.write_bytes(GOOD)
    with pytest.raises(WrongMapping, match=message) as error:
        open_source(str(path), tables=tables)
    assert "\n" not in str(error.value)
