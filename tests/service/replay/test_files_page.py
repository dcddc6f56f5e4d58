"""Every example of docs/files.md that names its files runs, and prints what the page shows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.replay.pyg_library import pyg_data

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "files.md").read_text()
_FILE = re.compile(r"`([\w.]+)`:\n\n```(?:json|yaml|xml|text)\n(.*?)```", re.DOTALL)
_SCRIPT = re.compile(r"```python\n(.*?)```", re.DOTALL)
_COMMAND = re.compile(r"```bash\n(olad .*?)```\n\n((?:    [^\n]*\n)*)", re.DOTALL)
SECTIONS = {
    section.partition("\n")[0]: section
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)
    if "--dry-run" in section and (_FILE.search(section) or _SCRIPT.search(section))
}


def test_the_page_has_examples() -> None:
    assert len(SECTIONS) >= 3


@pytest.mark.parametrize("title", sorted(SECTIONS))
def test_the_example_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "docs" / "examples", tmp_path, dirs_exist_ok=True)
    section = SECTIONS[title]
    pyg_data()  # Importing PyG warns.
    for script in _SCRIPT.findall(section):
        exec(script, {})
    for name, content in _FILE.findall(section):
        Path(name).write_text(content)
    commands = [(command, printed) for command, printed in _COMMAND.findall(section) if "--dry-run" in command]
    assert commands
    for command, printed in commands:
        shown = CliRunner().invoke(app, command.replace("\\\n", " ").split()[1:])
        assert shown.exit_code == 0, shown.output
        expected = [line.removeprefix("    ") for line in printed.splitlines()]
        assert [line for line in shown.output.splitlines() if line in expected] == expected


def test_the_mapping_of_payments_as_edges_is_the_one_of_the_examples() -> None:
    mapping = re.findall(r"```yaml\n(.*?)```", SECTIONS["Payments as edges"], re.DOTALL)
    example = (ROOT / "docs" / "examples" / "payments_as_edges.yaml").read_text()
    assert mapping == [example.partition("\n")[2]]
