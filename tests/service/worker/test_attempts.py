from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from service.store.log_reader import Entry
from service.worker.attempts import DEATH_WHILE_APPLIED, DEATH_WHILE_PUBLISHED, DEATHS_AT_MOST, Attempts, Page


def entries(*numbers: int) -> list[Entry]:
    return [Entry(f"{number}-0", ()) for number in numbers]


def positions(some: Sequence[Entry]) -> list[str]:
    return [entry.position for entry in some]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workers" / "g.attempts"


def child(work: Callable[[], object]) -> int:
    """How a child process ends that does this, as ``-signal`` or its code."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_within(path: Path, *numbers: int, published: bool = False, after: Sequence[int] = ()) -> None:
    """A process that is killed while it applies these entries, having applied others one by one."""

    def work() -> None:
        attempts = Attempts(path)
        for number in after:
            with attempts.applying(entries(number)):
                pass
        with attempts.applying(entries(*numbers)):
            if published:
                attempts.publishing()
            os.kill(os.getpid(), signal.SIGKILL)

    assert child(work) == -signal.SIGKILL


def killer(path: Path) -> str | None:
    attempts = Attempts(path)
    attempts.close()
    return attempts.killer


def test_two_starts_in_a_row_that_are_killed_within_an_entry_make_it_a_killer(path: Path) -> None:
    assert killer(path) is None
    die_within(path, 5)
    assert killer(path) is None
    die_within(path, 5, after=(3, 4))
    assert killer(path) == "5-0"


def test_a_process_that_ends_by_itself_leaves_the_mark_too(path: Path) -> None:
    def end() -> None:
        with Attempts(path).applying(entries(5)):
            os._exit(3)

    assert [child(end), child(end)] == [3, 3]
    assert killer(path) == "5-0"


def test_a_killer_is_none_any_more_when_it_has_passed(path: Path) -> None:
    die_within(path, 5)
    die_within(path, 5)
    attempts = Attempts(path)
    with attempts.applying(entries(5)):
        assert attempts.killer == "5-0"
    assert attempts.killer is None
    attempts.close()
    assert killer(path) is None


def test_it_stays_a_killer_however_often_a_start_ends_before_anything_is_applied(path: Path) -> None:
    die_within(path, 5)
    die_within(path, 5)
    for _ in range(3):
        assert child(lambda: Attempts(path)) == 0
    assert killer(path) == "5-0"


def test_starts_that_end_before_anything_is_applied_are_no_deaths(path: Path) -> None:
    die_within(path, 5)
    for _ in range(3):
        assert child(lambda: Attempts(path)) == 0
    assert killer(path) is None


def test_what_its_publication_counts_is_half(path: Path) -> None:
    assert DEATH_WHILE_APPLIED == 2 * DEATH_WHILE_PUBLISHED
    assert DEATHS_AT_MOST == 4 * DEATH_WHILE_PUBLISHED
    for _ in range(3):
        die_within(path, 5, published=True)
        assert killer(path) is None
    die_within(path, 5, published=True)
    assert killer(path) == "5-0"


def test_deaths_in_both_parts_add_up(path: Path) -> None:
    die_within(path, 5)
    die_within(path, 5, published=True)
    assert killer(path) is None
    die_within(path, 5, published=True)
    assert killer(path) == "5-0"


def test_kills_within_different_entries_make_none_a_killer(path: Path) -> None:
    for number in (5, 6, 7, 5, 6, 7):
        die_within(path, number)
        assert killer(path) is None


def test_a_death_between_two_turns_breaks_the_row(path: Path) -> None:
    die_within(path, 5)

    def elsewhere() -> None:
        attempts = Attempts(path)
        with attempts.applying(entries(4)):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    assert child(elsewhere) == -signal.SIGKILL
    die_within(path, 5)
    assert killer(path) is None


def test_several_entries_are_no_killers_and_are_applied_alone_until_all_have_passed(path: Path) -> None:
    die_within(path, 5, 6, 7)
    die_within(path, 5, 6, 7)
    attempts = Attempts(path)
    assert attempts.killer is None
    all_of_them = entries(3, 4, 5, 6, 7, 8, 9)
    turns = []
    while all_of_them:
        turn = attempts.first_turn(all_of_them)
        with attempts.applying(turn):
            turns.append(positions(turn))
        all_of_them = all_of_them[len(turn) :]
    assert turns == [["3-0", "4-0"], ["5-0"], ["6-0"], ["7-0"], ["8-0", "9-0"]]
    again = entries(3, 4, 5, 6, 7)
    assert attempts.first_turn(again) == again
    attempts.close()


def test_an_entry_that_is_suspected_is_a_turn_of_its_own(path: Path) -> None:
    die_within(path, 5)
    attempts = Attempts(path)
    assert positions(attempts.first_turn(entries(3, 4, 5, 6))) == ["3-0", "4-0"]
    assert positions(attempts.first_turn(entries(5, 6))) == ["5-0"]
    assert attempts.first_turn([]) == []
    attempts.close()


def test_what_is_to_be_applied_alone_stays_so_when_the_worker_dies_earlier(path: Path) -> None:
    """Else two groups, each too large for the memory, would take turns in killing it for ever."""
    die_within(path, 5, 6, 7)
    die_within(path, 1, 2)
    attempts = Attempts(path)
    assert [positions(attempts.first_turn(entries(n, n + 1))) for n in (1, 5, 7)] == [["1-0"], ["5-0"], ["7-0"]]
    assert attempts.is_within("1-0")
    assert not attempts.is_within("7-0")
    attempts.close()
    die_within(path, 3)
    attempts = Attempts(path)
    assert positions(attempts.first_turn(entries(5, 6))) == ["5-0"]
    attempts.close()


def test_entries_of_one_millisecond_are_told_apart(path: Path) -> None:
    def die(position: str) -> None:
        def work() -> None:
            with Attempts(path).applying([Entry(position, ())]):
                os.kill(os.getpid(), signal.SIGKILL)

        assert child(work) == -signal.SIGKILL

    for position in ("7-1", "7-10", "7-2", f"{2**64 - 1}-{2**64 - 1}"):
        die(position)
        assert killer(path) is None
    die(f"{2**64 - 1}-{2**64 - 1}")
    assert killer(path) == f"{2**64 - 1}-{2**64 - 1}"


def test_an_exception_is_no_death(path: Path) -> None:
    for _ in range(3):
        attempts = Attempts(path)
        with pytest.raises(RuntimeError), attempts.applying(entries(5)):
            raise RuntimeError
        attempts.close()
        assert killer(path) is None


def test_an_exception_between_two_deaths_of_a_start_forgets_none_of_them(path: Path) -> None:
    die_within(path, 5)

    def work() -> None:
        attempts = Attempts(path)
        try:
            with attempts.applying(entries(5)):
                raise RuntimeError
        except RuntimeError:
            with attempts.applying(entries(5)):
                os.kill(os.getpid(), signal.SIGKILL)

    assert child(work) == -signal.SIGKILL
    assert killer(path) == "5-0"


def test_a_kill_after_a_stop_was_asked_for_is_no_death(path: Path) -> None:
    def work() -> None:
        attempts = Attempts(path)
        with attempts.applying(entries(5)):
            attempts.excuse()
            attempts.publishing()
        with attempts.applying(entries(6)):
            os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(3):
        assert child(work) == -signal.SIGKILL
        assert killer(path) is None


def test_entries_that_failed_are_isolated_with_all_between_them(path: Path) -> None:
    attempts = Attempts(path)
    assert not attempts.is_isolated(entries(5))
    attempts.isolate(entries(5, 6))
    attempts.isolate(entries(9))
    assert [attempts.is_isolated(entries(n)) for n in (4, 5, 7, 9, 10)] == [False, True, True, True, False]
    assert not attempts.is_isolated(entries(5, 6))
    attempts.close()


@pytest.mark.parametrize("junk", [b"", b"x", b"\xff" * 4096, Page().pack()[:-1], Page().pack() + b"\0"])
def test_a_file_that_is_damaged_or_not_from_here_is_ignored_and_made_anew(path: Path, junk: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(junk)
    assert killer(path) is None
    die_within(path, 5)
    die_within(path, 5)
    assert killer(path) == "5-0"


def test_every_changed_bit_is_noticed() -> None:
    page = Page(((5, 0), (5, 0)), False, 2, ((3, 0), (9, 1)))
    packed = page.pack()
    assert Page.unpack(packed) == page
    for bit in range(8 * len(packed)):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        assert Page.unpack(bytes(changed)) is None


def test_the_mark_of_a_process_that_lives_is_no_death(path: Path) -> None:
    """A superseded owner may be stopped within an entry while another worker of the same directory takes over."""
    superseded = Attempts(path)
    with superseded.applying(entries(5)):
        attempts = Attempts(path)
        assert attempts.first_turn(entries(5, 6)) == entries(5, 6)
        attempts.close()
    superseded.close()
    die_within(path, 5)
    assert killer(path) is None


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_without_a_file_it_works_and_remembers_nothing(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make(path)
    for _ in range(3):
        die_within(path, 5)
    assert killer(path) is None
    attempts = Attempts(path)
    attempts.isolate(entries(5, 6))
    assert positions(attempts.first_turn(entries(5, 6))) == ["5-0"]


def test_a_disk_that_refuses_leaves_no_mark_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(path)

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with attempts.applying(entries(5)):
        monkeypatch.setattr(os, "pwrite", refuse)
    with attempts.applying(entries(6)):
        pass
    assert not path.exists()


def test_it_is_excused_out_of_a_signal_handler_at_any_moment(path: Path) -> None:
    attempts = Attempts(path)
    previous = signal.signal(signal.SIGUSR1, lambda _signal, _frame: attempts.excuse())
    try:
        timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        while not attempts._excused:
            with attempts.applying(entries(5)):
                attempts.publishing()
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
        attempts.close()
    page = Page.unpack(path.read_bytes())
    assert page is not None
    assert page.marked is None
