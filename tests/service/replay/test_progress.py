from __future__ import annotations

from pathlib import Path

import pytest

from service.replay.progress import Done, Progress, ProgressBusy

DONE = [Done("1-0", ["a", None]), Done("2-0", [])]


def _write(folder: Path) -> Progress:
    with Progress(folder, "replay") as progress:
        for done in DONE:
            progress.append(done)
    return progress


def test_goes_on_where_it_stopped_under_the_same_name(tmp_path: Path) -> None:
    before = _write(tmp_path)
    with Progress(tmp_path, "replay") as progress:
        assert progress.done == DONE
        assert progress.key(2) == before.key(2)
        progress.append(Done("3-0", ["b"]))
    with Progress(tmp_path, "replay") as progress:
        assert [done.position for done in progress.done] == ["1-0", "2-0", "3-0"]


@pytest.mark.parametrize("torn", [b'{"position": "3-', b'{"position": "3-0", "served": []}', b"\x00\x00\n"])
def test_a_torn_last_line_is_as_if_it_had_not_been_written(tmp_path: Path, torn: bytes) -> None:
    path = _write(tmp_path).path
    with path.open("ab") as file:
        file.write(torn)
    with Progress(tmp_path, "replay") as progress:
        assert progress.done == DONE
        progress.append(Done("3-0", []))
    with Progress(tmp_path, "replay") as progress:
        assert [done.position for done in progress.done] == ["1-0", "2-0", "3-0"]


@pytest.mark.parametrize("content", [b"", b"no header\n"])
def test_a_file_without_a_header_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = _write(tmp_path).path
    path.write_bytes(content)
    with Progress(tmp_path, "replay") as progress:
        assert progress.done == []


def test_a_fresh_run_has_another_name_and_forgets(tmp_path: Path) -> None:
    before = _write(tmp_path)
    with Progress(tmp_path, "replay", fresh=True) as progress:
        assert progress.done == []
        assert progress.key(0) != before.key(0)


def test_another_replay_has_another_file(tmp_path: Path) -> None:
    _write(tmp_path)
    with Progress(tmp_path, "another") as progress:
        assert progress.done == []


def test_every_batch_has_its_own_key(tmp_path: Path) -> None:
    with Progress(tmp_path, "replay") as progress:
        assert len({progress.key(batch) for batch in range(100)}) == 100


def test_two_at_the_same_time_are_refused(tmp_path: Path) -> None:
    with Progress(tmp_path, "replay"), pytest.raises(ProgressBusy, match="another replay"):
        Progress(tmp_path, "replay")


def test_the_same_sent_to_another_log_is_known(tmp_path: Path) -> None:
    with Progress(tmp_path, "log-1 source", sent_to="url source") as first:
        first.append(DONE[0])
        assert not first.sent_to_another_log()
    with Progress(tmp_path, "log-2 source", sent_to="url source") as second:
        assert second.done == []
        assert second.sent_to_another_log()
    with Progress(tmp_path, "log-2 other", sent_to="url other") as other:
        assert not other.sent_to_another_log()
    with Progress(tmp_path, "log-1 source", sent_to="url source") as again:
        assert again.done == DONE[:1]


def test_a_record_of_an_earlier_release_is_one_of_another_log(tmp_path: Path) -> None:
    (tmp_path / "old.ndjson").write_bytes(b'{"run":"1","replay":"url source"}\n{"position":"1-0","served":[]}\n')
    with Progress(tmp_path, "log-1 source", sent_to="url source") as progress:
        assert progress.sent_to_another_log()
        assert progress.done == []


def test_the_first_batches_are_kept_and_the_run_goes_by_another_name(tmp_path: Path) -> None:
    before = _write(tmp_path)
    with Progress(tmp_path, "replay") as progress:
        progress.start_over(keep=1)
    with Progress(tmp_path, "replay") as progress:
        assert progress.done == DONE[:1]
        assert progress.key(1) != before.key(1)
