"""Rows as events: the same out of every format, and nothing lost."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from olad_core.events import Event, LabelNode, UpsertEdge, UpsertNode
from service.replay.label_delay import Duration
from service.replay.sources import Source, StreamOptions, open_source
from service.replay.table_options import TableOptions
from tests.service.replay.payments import TABLE, payment_rows, payments_csv


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "payments.csv"
    path.write_text(payments_csv(rows=400))
    return path


def _events(source: Source) -> list[Event]:
    return [event for batch in source.batches for event in batch.events]


def _options(delay: int | Duration = 0) -> StreamOptions:
    return StreamOptions(label_delay=delay, scored=False)


def test_each_payment_is_a_node_joined_to_its_accounts(path: Path) -> None:
    source = open_source(str(path), _options(), tables=TABLE)
    expected: list[Event] = []
    for name, booked, payer, payee, amount, currency, channel, outcome in payment_rows(rows=400):
        ts = datetime.fromisoformat(booked).timestamp()
        x = [float(amount or 0), float(not amount)]
        x += [float(currency == name) for name in ("EUR", "GBP", "USD")]
        x += [float(channel == name) for name in ("app", "branch", "web")]
        expected += [
            UpsertNode(id=name, x=x, ts=ts),
            UpsertEdge(src=payer, dst=name, ts=ts),
            UpsertEdge(src=name, dst=payee, ts=ts),
            LabelNode(id=name, label=outcome, ts=ts),
        ]
    assert _events(source) == expected
    assert source.schema is None, "declared where it is asked for"
    assert source.proposal is not None
    assert (source.proposal.feature_width, source.proposal.classes) == (8, ("fraud", "ok"))


def test_parquet_with_types_gives_the_events_of_the_csv(path: Path) -> None:
    table = arrow_csv.read_csv(path)
    assert pa.types.is_timestamp(table.schema.field("booked_at").type)
    assert pa.types.is_floating(table.schema.field("amount").type)
    other = path.with_suffix(".parquet")
    parquet.write_table(table, other, row_group_size=100)
    nested = path.with_name("nested.parquet")
    payer = pa.StructArray.from_arrays([table["payer"].combine_chunks()], ["id"])
    parquet.write_table(table.set_column(2, "payer", payer), nested)
    packed = path.with_name("payments.parquet.gz")
    packed.write_bytes(gzip.compress(other.read_bytes()))
    expected = _events(open_source(str(path), _options(), tables=TABLE))
    assert _events(open_source(str(other), _options(), tables=TABLE)) == expected
    assert _events(open_source(str(packed), _options(), tables=TABLE)) == expected
    by_field = replace(TABLE, source="payer.id")
    assert _events(open_source(str(nested), _options(), tables=by_field)) == expected


def test_labels_follow_in_event_time(path: Path) -> None:
    events = _events(open_source(str(path), _options(Duration(2 * 86_400)), tables=TABLE))
    arrived: dict[str, float] = {}
    clock = 0.0
    labelled = []
    for event in events:
        if isinstance(event, LabelNode):
            assert event.ts == arrived[str(event.id)] + 2 * 86_400
            labelled.append(str(event.id))
            continue
        assert not isinstance(event, LabelNode)
        clock = max(clock, getattr(event, "ts", 0.0))
        if isinstance(event, UpsertNode):
            arrived[str(event.id)] = clock
    # Every label that is due by the last event, and no other.
    assert labelled == [name for name, ts in arrived.items() if ts + 2 * 86_400 <= clock]
    assert 0 < len(labelled) < len(arrived)


def test_rows_are_edges_without_as_node(path: Path) -> None:
    tables = TableOptions(source="payer", target="payee", time="booked_at", weight="amount")
    events = _events(open_source(str(path), tables=tables))
    first = payment_rows(rows=400)[0]
    assert events[0] == UpsertEdge(
        src=first[2], dst=first[3], weight=float(first[4]), ts=datetime.fromisoformat(first[1]).timestamp()
    )
    assert len(events) == 400


def test_rows_without_ids_are_numbered_and_an_end_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "cash.csv"
    path.write_text("from,to\n,b\na,\n")
    events = _events(open_source(str(path), tables=TableOptions(source="from", target="to", as_node=True)))
    assert events == [
        UpsertNode(id="row-1"),
        UpsertEdge(src="row-1", dst="b"),
        UpsertNode(id="row-2"),
        UpsertEdge(src="a", dst="row-2"),
    ]


def test_rows_that_are_nodes_alone(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text("id,zip,age\n1,01067,30\n2,80331,\n")
    tables = TableOptions(id="id", id_prefix="A", categories=("zip",), features=("age",))
    events = _events(open_source(str(path), tables=tables))
    assert events == [UpsertNode(id="A1", x=[30.0, 0.0, 1.0, 0.0]), UpsertNode(id="A2", x=[0.0, 1.0, 0.0, 1.0])]


def test_notes_name_what_the_user_should_know(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text("id,from,to,t\n1,7,8,2026-01-02\n7,8,9,2026-01-01\n")
    tables = TableOptions(id="id", source="from", target="to", as_node=True, time="t")
    notes = open_source(str(path), tables=tables).notes
    assert any("rows are not in the order of 't': line 3 is earlier" in note for note in notes)
    assert any("'7' is the id of a row and of an end of one" in note for note in notes)
    assert "times in 't' are dates" in notes


def test_notes_name_what_may_not_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("id,src,dst,y\n1,7.0,8.0,Yes\n2,8.0,,yes\n")
    tables = TableOptions(id="id", source="src", target="dst", as_node=True, label="y")
    notes = open_source(str(path), tables=tables).notes
    assert "the classes 'Yes' and 'yes' differ in case alone, and are two" in notes
    assert any("the id '7.0' has been a number in another program" in note for note in notes)
    path.write_text("id,src,dst,y\n")
    source = open_source(str(path), tables=tables)
    assert "there are no rows" in source.notes
    assert _events(source) == []


@pytest.mark.parametrize(("left", "right"), [("<", ">"), ("[", "]")])
def test_names_of_columns_may_stand_in_brackets(tmp_path: Path, left: str, right: str) -> None:
    path = tmp_path / "quotes.csv"
    path.write_text(f"{left}TICKER{right},{left}ON{right}\na,b\n")
    tables = TableOptions(source=f"{left}TICKER{right}", target=f"{left}ON{right}")
    assert _events(open_source(str(path), tables=tables)) == [UpsertEdge(src="a", dst="b")]


def test_a_column_without_a_name_is_called_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "pandas.csv"
    path.write_text(",src,dst\n0,a,b\n")
    assert _events(open_source(str(path), tables=TableOptions(id="column 1"))) == [UpsertNode(id="0")]


def test_a_further_row_of_a_node_is_no_arrival(tmp_path: Path) -> None:
    """Its label would be known when its prediction is asked for."""
    path = tmp_path / "twice.csv"
    path.write_text("id,y\na,\nb,x\na,y\nc,x\n")
    batches = list(
        open_source(str(path), StreamOptions(label_delay=2), tables=TableOptions(id="id", label="y")).batches
    )
    assert [batch.nodes for batch in batches] == [("a", "b", "c")]
    events = [event for batch in batches for event in batch.events]
    assert [event.id for event in events if isinstance(event, UpsertNode)] == ["a", "b", "a", "c"]
    assert events[-1] == LabelNode(id="a", label="y")


def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    import tracemalloc  # noqa: PLC0415

    sizes = {}
    for rows in (40_000, 160_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("a,b,x,y\n" + "".join(f"a{n},b{n},{n / 7},c{n % 3}\n" for n in range(rows)))
        tables = TableOptions(source="a", target="b", as_node=True, features=("x",), label="y")
        options = StreamOptions(label_delay=100, batch_size=10_000, scored=False)
        tracemalloc.start()
        count = sum(len(batch.events) for batch in open_source(str(path), options, tables=tables).batches)
        sizes[rows] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 4 * rows - 100
    assert sizes[160_000] < 1.7 * sizes[40_000], sizes
