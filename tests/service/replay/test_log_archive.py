"""An archive of a log as a source: its entries as they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from olad_core.event_codec import decode_log, encode_log
from olad_core.events import Event, GraphSchema, LabelNode, UpsertEdge
from olad_core.graph_types import EdgeType
from olad_core.schema import schema_json
from olad_core.task_types import EdgeClassTask
from service.archive.history import HistoryBroken
from service.archive.place import DirectoryPlace
from service.archive.segment import encode
from service.cli import app
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.replay.arrival_stream import Batch, UnreadableDataset
from service.replay.sources import Source, SourceNotFound, StreamOptions, open_source
from service.settings import Settings
from service.store.raw_log import RawEntry
from tests.service.evaluation.streams import CLASSES, tiny_batches

SENT = [replace(one, events=tuple(decode_log(encode_log(list(one.events))))) for one in tiny_batches(60)]
"""With features as the log has them."""
QUICK = Settings(students=("sage",), width=8, warmup_steps=1, steps_per_entry=1)


def batch(number: int, events: Sequence[Event]) -> RawEntry:
    fields = [b"events", encode_log(list(events)), b"n", str(len(events)).encode(), b"at", f"{number}000".encode()]
    return f"{number}-0".encode(), fields


def declaration(number: int, schema: GraphSchema) -> RawEntry:
    return f"{number}-0".encode(), [b"schema", schema_json(schema).encode(), b"v", b"1"]


def _labelled(one: Batch) -> set[str]:
    return {str(event.id) for event in one.events if isinstance(event, LabelNode)}


def archive(folder: Path, entries: Iterable[RawEntry], skipped: dict[str, str] | None = None, size: int = 7) -> None:
    """Write entries in segments of a size."""
    place, whole, after = DirectoryPlace(folder), list(entries), "0-0"
    for first in range(0, len(whole), size):
        part = whole[first : first + size]
        place.write(*encode("g", after, part, skipped or {}))
        after = part[-1][0].decode()


def test_an_archived_stream_is_evaluated_like_the_stream_itself(tmp_path: Path) -> None:
    schema = GraphSchema(feature_width=2, classes=CLASSES)
    entries = [batch(number, one.events) for number, one in enumerate(SENT, start=1)]
    archive(tmp_path / "g", [(b"0-1", declaration(0, schema)[1]), *entries])
    # A class is known when its label comes: that is all that an archive can show.
    labels = [(str(event.id), str(event.label)) for one in SENT for event in one.events if type(event) is LabelNode]
    known = [replace(one, truths=tuple(known for known in labels if known[0] in _labelled(one))) for one in SENT]
    wanted = configurations(QUICK, ["wide:width=16"])
    once = evaluate(Source("tiny", None, iter(known), schema), wanted, score_from=0)
    again = evaluate(open_source(str(tmp_path)), wanted, score_from=0)
    assert once.as_dict()["contestants"] == again.as_dict()["contestants"]
    assert len(again.as_dict()["contestants"]) == 2


def test_entries_come_as_they_came_with_their_times(tmp_path: Path) -> None:
    archive(tmp_path, (batch(number, one.events) for number, one in enumerate(SENT, start=1)))
    found = list(open_source(str(tmp_path)).batches)
    assert [one.events for one in found] == [one.events for one in SENT]
    assert [one.nodes for one in found] == [one.nodes for one in SENT]
    assert [one.came_at for one in found] == list(range(1, len(SENT) + 1))
    assert len(list(open_source(str(tmp_path), StreamOptions(limit=1)).batches)) < len(SENT)


def test_a_limit_counts_edges_of_a_task_as_arrivals(tmp_path: Path) -> None:
    schema = GraphSchema(
        edge_types={"paid": EdgeType(), "knows": EdgeType()},
        tasks={"fraud": EdgeClassTask(kind="edge_class", edge_type="paid", classes=("no", "yes"))},
    )
    of_one: list[Event] = [
        UpsertEdge(src="a", dst="b", type="paid"),
        UpsertEdge(src="a", dst="b", type="knows"),
        UpsertEdge(src="b", dst="a", type="paid"),
    ]
    archive(tmp_path, [declaration(1, schema), *(batch(number, of_one) for number in range(2, 12))])
    for limit, entries in ((0, 0), (1, 1), (2, 1), (3, 2), (10, 5), (20, 10), (99, 10)):
        assert len(list(open_source(str(tmp_path), StreamOptions(limit=limit)).batches)) == entries
    # With another delay of labels, the events are put into batches of their own and end at the very arrival.
    delayed = [
        event
        for one in open_source(str(tmp_path), StreamOptions(label_delay=2, limit=5)).batches
        for event in one.events
    ]
    assert sum(isinstance(event, UpsertEdge) and event.type == "paid" for event in delayed) == 5


def test_what_was_declared_set_aside_and_set_is_taken_into_account(tmp_path: Path) -> None:
    entries = [
        declaration(1, GraphSchema(classes=("a",), edge_lifetime=5.0)),
        *(batch(number, one.events) for number, one in enumerate(SENT[:3], start=2)),
        declaration(5, GraphSchema(classes=("a", "b"), edge_lifetime=5.0)),
        (b"6-0", [b"clock", b"{}", b"at", b"6000"]),
    ]
    archive(tmp_path, entries, {"3-0": "a bug"})
    source = open_source(str(tmp_path))
    assert [one.events for one in source.batches] == [SENT[0].events, SENT[2].events]
    assert source.schema == GraphSchema(classes=("a", "b"), edge_lifetime=5.0)
    assert source.notes == ("6 entries", "1 of them set the clock of the graph, which is not repeated")


def test_an_import_takes_large_batches_and_labels_may_be_delayed(tmp_path: Path) -> None:
    archive(tmp_path, (batch(number, one.events) for number, one in enumerate(SENT, start=1)))
    events = [event for one in SENT for event in one.events]
    large = StreamOptions(None, 10_000, scored=False)
    [found] = open_source(str(tmp_path), large).batches
    assert list(found.events) == events
    delayed = open_source(str(tmp_path), StreamOptions(2)).batches
    assert sum(len(one.nodes) for one in delayed) == sum(len(one.nodes) for one in SENT)


def test_a_damaged_archive_is_found_before_anything_is_played(tmp_path: Path, runner: CliRunner) -> None:
    archive(tmp_path / "g", (batch(number, one.events) for number, one in enumerate(SENT, start=1)), size=2)
    (tmp_path / "g" / "2-0_4-0.segment").unlink()
    with pytest.raises(HistoryBroken, match=r"2-1\.\.4-0"):
        open_source(str(tmp_path))
    done = runner.invoke(app, ["evaluate", str(tmp_path)])
    assert done.exit_code == 1
    assert "2-1..4-0" in done.stderr


def test_a_folder_of_several_graphs_or_of_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="a folder without an archive"):
        open_source(str(tmp_path))
    for graph in ("g", "h"):
        archive(tmp_path / graph, [batch(1, SENT[0].events)])
    with pytest.raises(UnreadableDataset, match="archives of 2 graphs"):
        open_source(str(tmp_path))
