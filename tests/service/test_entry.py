"""The program ``olad`` as users start it: installed from a wheel, in any directory, and interrupted at any time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO

import psutil
import pytest

from service.cli import run

RunOlad = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from service.entry import main; sys.argv[0] = 'olad'; main()"
"""What the script ``olad`` of an installation does, without the directory of the user on the path."""


def _environment(*path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OLAD_")}
    return kept | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONSAFEPATH": "1"}


def _started(folder: Path, *arguments: str, path: tuple[Path, ...] = (ROOT,)) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env=_environment(*path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        umask=0o022,
    )


def _until(lines: IO[str] | None, text: str) -> list[str]:
    """The lines up to the one that begins so."""
    assert lines is not None
    read = []
    for line in lines:
        read.append(line)
        if line.startswith(text):
            return read
    raise AssertionError(f"{text!r} never came; there was {read}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built as a wheel and unpacked as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("olad_core", "service"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    built = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(built, check=True)
    (wheel,) = folder.glob("olad-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Path]:
    """A directory with files that bear the names of what the service imports; none of them may be."""
    for name in ("service", "olad_core"):
        (tmp_path / name).mkdir()
    for name in ("service/__init__", "olad_core/__init__", "redis", "json", "typing", "torch", "numpy", "socket"):
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / 'imported')!r}, 'a').write(__name__)\nraise SystemExit"
        )
    yield tmp_path
    assert not (tmp_path / "imported").exists()


def test_it_runs_from_a_wheel_in_a_directory_that_has_its_names_and_keeps_its_files_private(
    installed: Path, hostile: Path
) -> None:
    with _started(hostile, "up", "--port", "0", path=(installed,)) as process:
        try:
            _until(process.stdout, "Dashboard")
            modes = {path: path.lstat().st_mode & 0o077 for path in (hostile / "olad-data").rglob("*")}
        finally:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert (hostile / "olad-data" / "redis" / "redis.log") in modes
    made_since = {path: path.lstat().st_mode & 0o077 for path in (hostile / "olad-data").rglob("*")}
    assert {str(path) for path, mode in (modes | made_since).items() if mode} == set()


def test_an_interrupt_while_it_is_being_imported_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    with _started(tmp_path, "up", path=(tmp_path, ROOT)) as process:
        _until(process.stdout, "importing")
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=30)
    assert (process.returncode, *output) == (130, "", "")


@pytest.mark.parametrize("command", [["status"], ["replay", "digits"]])
def test_an_interrupt_while_it_waits_for_an_answer_is_no_traceback(tmp_path: Path, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with _started(tmp_path, *command, "--url", f"http://127.0.0.1:{silent.getsockname()[1]}") as process:
            silent.settimeout(60)
            connection, _ = silent.accept()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        connection.close()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "error" not in errors


def test_an_interrupt_while_it_starts_leaves_no_process_behind(tmp_path: Path) -> None:
    with _started(tmp_path, "up", "--port", "0") as process:
        _until(process.stdout, "Starting")
        process.send_signal(signal.SIGINT)
        children = psutil.Process(process.pid).children(recursive=True)
        output, errors = process.communicate(timeout=120)
    assert process.returncode in {0, 130}  # In order, or before anything but Redis had begun to start.
    assert "Traceback" not in output + errors
    assert "error" not in errors
    assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (["up", "--port", "0", "--data-dir"], "taken"),
        (["up", "--port", "0", "--data-dir"], "taken/below"),
        (["up", "--port", "0", "--data-dir"], "a" * 300),
        (["demo", "--exit", "--data-dir"], "taken"),
        (["repair"], "taken"),
    ],
)
def test_a_data_directory_that_cannot_be_used_is_one_line(tmp_path: Path, command: list[str], place: str) -> None:
    (tmp_path / "taken").write_text("")
    with _started(tmp_path, *command, place) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode in {78, 2}, errors
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert place in line


@pytest.fixture
def run_olad(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunOlad:
    """Runs a command line here; returns its status, output and errors."""

    def run_here(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["olad", *arguments])
        try:
            status = run()
        except SystemExit as end:  # Completion ends the program itself.
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run_here


def test_the_version_is_that_of_the_package(run_olad: RunOlad) -> None:
    assert run_olad("--version") == (0, f"olad {metadata.version('olad')}\n", "")


@pytest.mark.parametrize(
    "command", [[], ["up"], ["api"], ["worker"], ["replay"], ["status"], ["demo"], ["verify"], ["repair"], ["keys"]]
)
def test_help_is_short_too(run_olad: RunOlad, command: list[str]) -> None:
    status, output, errors = run_olad(*command, "-h")
    assert (status, errors) == (0, "")
    assert f"Usage: {' '.join(['olad', *command])}" in output
    assert (status, output, errors) == run_olad(*command, "--help")


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (["upp"], "Did you mean 'up'?"),
        (["keys", "crate"], "Did you mean 'create'?"),
        (["up", "--prot", "1"], "--port"),
        (["up", "--port", "x"], "--port"),
        (["replay"], "source"),
        (["keys", "create", "--name", "n"], "--scope"),
        (["up", "too", "much"], "too"),
        (["\x1b[2J"], "No such command"),
    ],
)
def test_a_wrong_command_line_is_one_line(run_olad: RunOlad, arguments: list[str], suggested: str) -> None:
    status, output, errors = run_olad(*arguments)
    assert (status, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith("error: ")
    assert suggested in line
    assert "\x1b" not in line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_for_the_shell(run_olad: RunOlad, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status, output, _ = run_olad("--show-completion", shell)
    assert status == 0
    assert "_OLAD_COMPLETE" in output
    monkeypatch.setenv("_OLAD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "olad re")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run_olad()[1].split() == ["replay", "repair", "rebuild"]
