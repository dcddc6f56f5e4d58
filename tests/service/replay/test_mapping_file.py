"""Mapping files, and the page that describes them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from olad_core.events import LabelNode, UpsertEdge, UpsertNode
from service.cli import app
from service.replay.arrival_stream import UnreadableDataset
from service.replay.sources import StreamOptions, open_source
from service.replay.table_options import TableOptions, WrongMapping
from tests.service.replay.payments import payments_csv

PAGE = (Path(__file__).parents[3] / "docs" / "files.md").read_text()
COMMAND = next(block for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if "olad import" in block)
MAPPING = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]


@pytest.fixture
def mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("payments.csv").write_text(payments_csv())
    path = Path("mapping.yaml")
    path.write_text(MAPPING)
    return path


def test_the_command_of_the_page_runs(mapping: Path) -> None:
    _, *words = COMMAND.replace("\\\n", " ").split()
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    example = PAGE.partition("## Large files")[0]
    printed = re.findall(r"^    ((?:\{|payments\.csv:|schema).*)", example, re.MULTILINE)
    assert len(printed) == 5
    assert [line for line in printed if line not in shown.output.splitlines()] == []
    assert re.findall(r"^    (P0000,.*)", PAGE, re.MULTILINE) == [Path("payments.csv").read_text().splitlines()[1]]


def test_the_mapping_of_the_page_is_read(mapping: Path) -> None:
    source = open_source("payments.csv", StreamOptions(scored=False), tables=TableOptions(mapping=mapping))
    events = [event for batch in source.batches for event in batch.events]
    node, sent, received = events[:3]
    assert isinstance(node, UpsertNode)
    assert isinstance(node.x, list)
    assert (node.id, len(node.x)) == ("payment-P0000", 8)
    assert isinstance(sent, UpsertEdge)
    assert isinstance(received, UpsertEdge)
    assert (str(sent.src)[:9], sent.dst, received.src, str(received.dst)[:9]) == (
        *("account-A", node.id),
        *(node.id, "account-A"),
    )
    labels = [event for event in events if isinstance(event, LabelNode)]
    assert 2_000 < len(labels) < 3_000, "those of the last two weeks are not due"
    assert sum(label.label == "fraud" for label in labels) / len(labels) == pytest.approx(0.07, abs=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source: [a", "mapping.yaml, line 1, column 11: not YAML"),
        ("source: a\ntarget: b\nweigth: c\n", "mapping.yaml: weigth: Extra inputs"),
        ("source: a\n", "mapping.yaml: .*a row is an edge, with `source` and `target`, or a node"),
        ("node: {features: [{column: a, kind: word}]}", r"mapping.yaml: node.features.0.kind: Input should be 'auto'"),
        ("node: {label: {column: a, delay: soon}}", "mapping.yaml: node.label.delay.*'soon' is no delay"),
        ("", "mapping.yaml: Input should be"),
        ("!!python/object/apply:os.system [true]", "mapping.yaml, line 1, column 1: not YAML"),
    ],
)
def test_a_wrong_mapping_is_one_line(mapping: Path, text: str, message: str) -> None:
    mapping.write_text(text)
    with pytest.raises(WrongMapping, match=message) as error:
        open_source("payments.csv", tables=TableOptions(mapping=mapping))
    assert "\n" not in str(error.value)


def test_options_beside_a_mapping_are_refused(mapping: Path) -> None:
    with pytest.raises(WrongMapping, match="the columns are named in the file"):
        open_source("payments.csv", tables=TableOptions(mapping=mapping, source="payer"))


class _Input:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_standard_input_needs_a_mapping_that_leaves_nothing_open(
    mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Path("payments.csv").read_bytes()
    monkeypatch.setattr("sys.stdin", _Input(content))
    with pytest.raises(UnreadableDataset, match=r"cannot be read twice.*state `kind: number` or its categories"):
        open_source("-", tables=TableOptions(mapping=mapping))
    whole = MAPPING.replace("- amount", "- {column: amount, kind: number, missing: true}")
    mapping.write_text(whole.replace("kind: category, missing: false", "categories: [app, branch, web]"))
    options, tables = StreamOptions(scored=False), TableOptions(mapping=mapping)
    expected = list(open_source("payments.csv", options, tables=tables).batches)
    monkeypatch.setattr("sys.stdin", _Input(content))
    assert list(open_source("-", options, tables=tables).batches) == expected
