from __future__ import annotations

import gzip
import http.server
import io
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olad_core.events import LabelNode, UpsertNode
from service.replay.arrival_stream import UnreadableDataset
from service.replay.sources import SourceNotFound, StreamOptions, open_source

NODES = 12
LINES = b'{"op": "upsert_node", "id": "a", "label": "x"}\n{"op": "upsert_node", "id": "b"}\n'


def _archive(path: Path) -> Path:
    labels = np.arange(NODES) % 3
    np.savez(path, label=labels, edges=np.array([[0, 1], [1, 2]]), node_time=np.arange(NODES), x=np.ones((NODES, 2)))
    return path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def web_folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which a real web server shows it."""
    folder = tmp_path / "web"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_archive_declares_its_schema_and_sends_labels_late(tmp_path: Path) -> None:
    path = _archive(tmp_path / "some.npz")
    source = open_source(str(path), StreamOptions(label_delay=4, batch_size=5))
    batches = list(source.batches)
    assert source.nodes == NODES
    assert source.schema is not None
    assert (source.schema.feature_width, source.schema.classes) == (2, ("0", "1", "2"))
    assert [len(batch.nodes) for batch in batches] == [5, 5, 2]
    labels = [event for batch in batches for event in batch.events if isinstance(event, LabelNode)]
    assert [event.id for event in labels] == [str(node) for node in range(NODES - 4)]


def test_a_named_archive_is_streamed_its_own_way_wherever_it_lies(tmp_path: Path) -> None:
    path = _archive(tmp_path / "pubmed_temporal.npz")
    by_path, by_name = open_source(str(path)), open_source("pubmed", data_home=tmp_path)
    assert by_path.score_from == by_name.score_from == 2000
    assert by_path.identity == by_name.identity
    assert "label_delay=1000" in str(by_path.identity)


def test_the_default_dataset_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = open_source("digits")
    assert source.nodes == 1797
    assert len(next(source.batches).nodes) == 20


def test_a_limit_ends_the_stream(tmp_path: Path) -> None:
    source = open_source(str(_archive(tmp_path / "some.npz")), StreamOptions(limit=7, batch_size=5))
    assert [len(batch.nodes) for batch in source.batches] == [5, 2]
    assert source.nodes == 7


def test_another_file_or_other_options_are_another_replay(tmp_path: Path) -> None:
    path = _archive(tmp_path / "some.npz")
    options = [StreamOptions(), StreamOptions(label_delay=3), StreamOptions(batch_size=3), StreamOptions(limit=3)]
    identities = [open_source(str(path), each).identity for each in options]
    assert open_source(str(path)).identity == identities[0]
    np.savez(path, label=np.zeros(2, np.int64), edges=np.empty((2, 0), np.int64))
    identities.append(open_source(str(path)).identity)
    assert len(set(identities)) == 5


@pytest.mark.parametrize("zipped", [False, True])
def test_events_are_read_from_lines_zipped_or_not(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / ("events.ndjson.gz" if zipped else "events.ndjson")
    path.write_bytes(gzip.compress(LINES) if zipped else LINES)
    source = open_source(str(path))
    assert source.schema is None
    (batch,) = source.batches
    assert batch.events == (UpsertNode(id="a", label="x"), UpsertNode(id="b"))
    delayed = open_source(str(path), StreamOptions(label_delay=1))
    (batch,) = delayed.batches
    assert batch.events == (UpsertNode(id="a"), UpsertNode(id="b"), LabelNode(id="a", label="x"))


def test_standard_input_cannot_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES)))
    source = open_source("-")
    assert source.identity is None
    assert [batch.nodes for batch in source.batches] == [("a", "b")]


def test_half_a_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson.gz"
    path.write_bytes(gzip.compress(LINES * 100)[:-20])
    with pytest.raises(UnreadableDataset, match="not a whole gzip file"):
        list(open_source(str(path)).batches)


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson.gz"
    damaged = bytearray(gzip.compress(LINES * 100))
    damaged[10] ^= 0xFF  # The first byte after the head: the kind of the first block.
    path.write_bytes(damaged)
    with pytest.raises(UnreadableDataset, match=r"events\.ndjson\.gz: not a whole gzip file"):
        list(open_source(str(path)).batches)


def test_an_unknown_source_is_told_the_names() -> None:
    with pytest.raises(SourceNotFound, match=r"nowhere\.npz: no such file.*digits, pubmed"):
        open_source("nowhere.npz")


def test_a_named_dataset_that_is_not_there_says_where_it_goes(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"put cora\.npz into .*OLAD_DATA_HOME"):
        open_source("cora", data_home=tmp_path)


def test_pubmed_is_downloaded_once_and_says_what_it_lacks(tmp_path: Path, web_folder: tuple[Path, str]) -> None:
    folder, address = web_folder
    _archive(folder / "pubmed.npz")
    url = f"{address}/pubmed.npz"
    first = open_source("pubmed", data_home=tmp_path / "data", published_url=url)
    assert first.nodes == NODES
    assert "no years" in str(first.notice)
    (folder / "pubmed.npz").unlink()
    again = open_source("pubmed", data_home=tmp_path / "data", published_url=url)
    assert again.identity == first.identity


def test_pubmed_that_cannot_be_downloaded_is_one_clear_line(tmp_path: Path, web_folder: tuple[Path, str]) -> None:
    _, address = web_folder
    with pytest.raises(SourceNotFound, match=r"could not be downloaded.*put pubmed_temporal\.npz into") as error:
        open_source("pubmed", data_home=tmp_path / "data", published_url=f"{address}/gone.npz")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "data").iterdir())
