from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from service import api_keys
from service.api_keys import KeyRing, KeysUnusable, create_key, key_ring, read_keys, revoke_key
from service.cli import app
from service.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "api-keys.json"


@pytest.fixture
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "_LOOK_EVERY_S", 0.0)


def test_a_key_is_found_by_its_whole_text_only(file: Path) -> None:
    key = create_key(file, "robot", ["write"])
    other = create_key(file, "other", ["read"])
    ring = KeyRing(file)
    found = ring.find(key)
    assert found is not None
    assert (found.name, found.scopes) == ("robot", ("write",))
    wrong = [key[:-1], key + "A", key[:-1] + ("A" if key[-1] != "A" else "B"), key[:18] + other[18:], "", "olad_", "é"]
    assert [ring.find(shown) for shown in wrong] == [None] * len(wrong)


def test_the_file_holds_hashes_and_no_key(file: Path) -> None:
    keys = [create_key(file, name, ["read"]) for name in ("a", "b")]
    text = file.read_text()
    assert not any(key in text or key.rpartition("_")[2] in text for key in keys)
    assert json.loads(text)["keys"][0]["name"] == "a"
    assert len(set(keys)) == 2


def test_admin_may_do_everything_and_the_others_only_their_own(file: Path) -> None:
    for scope in api_keys.SCOPES:
        create_key(file, scope, [scope])
    allowed = {key.name: [scope for scope in api_keys.SCOPES if key.allows(scope)] for key in read_keys(file)}
    assert allowed == {"read": ["read"], "write": ["write"], "admin": ["read", "write", "admin"]}


@pytest.mark.usefixtures("_look_at_once")
def test_a_running_ring_follows_the_file(file: Path) -> None:
    first = create_key(file, "first", ["read"])
    ring = KeyRing(file)
    second = create_key(file, "second", ["read"])
    assert ring.find(second) is not None
    revoke_key(file, "first")
    assert ring.find(first) is None
    assert ring.find(second) is not None


@pytest.mark.usefixtures("_look_at_once")
@pytest.mark.parametrize("broken", ["", "{", '{"version": 2}', '{"version": 1, "keys": [{}]}', None])
def test_a_file_that_breaks_changes_nothing_but_is_reported(file: Path, broken: str | None) -> None:
    key = create_key(file, "robot", ["read"])
    ring = KeyRing(file)
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    with structlog.testing.capture_logs() as lines:
        assert ring.find(key) is not None
        assert ring.find(key) is not None
    assert [line["log_level"] for line in lines] == ["error"]
    assert str(file) in lines[0]["reason"]


def test_the_file_is_replaced_as_a_whole_and_keeps_its_mode(file: Path) -> None:
    create_key(file, "a", ["read"])
    file.chmod(0o600)
    before = file.stat().st_ino
    create_key(file, "b", ["read"])
    assert file.stat().st_ino != before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_changes_at_the_same_time_are_all_kept(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: create_key(file, f"k{number}", ["read"]), range(16)))
    assert {key.name for key in read_keys(file)} == {f"k{number}" for number in range(16)}


@pytest.mark.parametrize("name", ["", "two words", "a\n", "../x", "é", "a" * 65])
def test_names_that_would_confuse_a_log_are_refused(file: Path, name: str) -> None:
    with pytest.raises(KeysUnusable, match="name"):
        create_key(file, name, ["read"])
    assert not file.exists()


def test_a_key_is_revoked_by_its_name_or_id(file: Path) -> None:
    for name in ("first", "second"):
        create_key(file, name, ["read"])
    first, second = read_keys(file)
    assert revoke_key(file, "first") == first
    assert revoke_key(file, second.id) == second
    with pytest.raises(KeysUnusable, match="no key with the name or id first in"):
        revoke_key(file, "first")


def test_a_name_is_given_once(file: Path) -> None:
    create_key(file, "a", ["read"])
    with pytest.raises(KeysUnusable, match="already"):
        create_key(file, "a", ["write"])


class TestWhoIsLetIn:
    def test_this_machine_without_keys(self) -> None:
        assert key_ring(Settings(host="127.0.0.1")) is None
        assert key_ring(Settings(host="::1")) is None

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org", ""])
    def test_others_only_when_told_so(self, host: str) -> None:
        with pytest.raises(KeysUnusable, match="OLAD_ALLOW_ANONYMOUS"):
            key_ring(Settings(host=host))
        assert key_ring(Settings(host=host, allow_anonymous=True)) is None

    def test_a_file_of_keys_counts_everywhere(self, file: Path) -> None:
        create_key(file, "a", ["read"])
        for settings in (Settings(api_keys_file=file), Settings(api_keys_file=file, allow_anonymous=True)):
            assert key_ring(settings) is not None

    def test_a_missing_file_is_no_reason_to_let_everybody_in(self, file: Path) -> None:
        with pytest.raises(KeysUnusable, match="olad keys create"):
            key_ring(Settings(api_keys_file=file))


class TestCommands:
    def test_create_list_and_revoke(self, file: Path) -> None:
        runner = CliRunner(env={"OLAD_API_KEYS_FILE": str(file), "COLUMNS": "120"})
        made = runner.invoke(app, ["keys", "create", "--name", "feed", "--scope", "read", "--scope", "write"])
        assert made.exit_code == 0, made.output
        found = KeyRing(file).find(made.stdout.strip())
        assert found is not None
        assert found.scopes == ("read", "write")
        listed = runner.invoke(app, ["keys", "list"]).output
        assert "feed" in listed
        assert "read, write" in listed
        assert made.stdout.strip() not in listed
        assert runner.invoke(app, ["keys", "revoke", "feed"]).exit_code == 0
        assert read_keys(file) == ()
        assert runner.invoke(app, ["keys", "list"]).output == "No keys.\n"

    @pytest.mark.parametrize(
        ("command", "message"),
        [
            (["create", "--name", "a b", "--scope", "read"], "name"),
            (["create", "--name", "a", "--scope", "root"], "root"),
            (["revoke", "nobody"], "cannot be read"),
            (["list"], "olad keys create"),
        ],
    )
    def test_what_cannot_be_done_is_reported(self, file: Path, command: list[str], message: str) -> None:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["keys", *command, "--file", str(file)])
        assert result.exit_code != 0
        assert message in result.output

    def test_a_file_must_be_named(self) -> None:
        result = CliRunner().invoke(app, ["keys", "list"])
        assert result.exit_code == 1
        assert "OLAD_API_KEYS_FILE" in result.output

    @pytest.mark.parametrize("command", ["api", "up", "demo"])
    def test_an_open_door_is_refused_before_anything_starts(self, command: str, tmp_path: Path) -> None:
        ran = subprocess.run(
            [sys.executable, "-m", "service.cli", command],
            env=os.environ | {"OLAD_HOST": "0.0.0.0", "OLAD_DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1
        assert "OLAD_ALLOW_ANONYMOUS=true" in ran.stderr
        assert not (tmp_path / "data").exists()
