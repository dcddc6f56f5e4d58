"""`olad evaluate` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from service.cli import app
from service.evaluation.configurations import configurations
from service.evaluation.evaluate import evaluate
from service.evaluation.page import page
from service.evaluation.report import schema
from service.settings import Settings
from tests.service.evaluation.streams import tiny_batches, tiny_source
from tests.service.web.browser import running_chromium

QUICK: list[str] = ["students=sage", "width=8", "warmup_steps=1", "steps_per_entry=1"]


def quick(**more: Any) -> Settings:
    return Settings(students="sage", width=8, warmup_steps=1, steps_per_entry=1, **more)  # type: ignore[arg-type]


def test_digits_twice_are_the_same_bytes(tmp_path: Path) -> None:
    """In processes of their own, with another seed of Python's hashes."""
    outputs = []
    for number in ("1", "2"):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OLAD_")}
        command = [
            sys.executable,
            "-m",
            "service.cli",
            "evaluate",
            "digits",
            "--limit",
            "300",
            "--steps",
            "2",
            "--json",
        ]
        command += ["--baseline", "gradient-boosting", "--html", f"{number}.html", "--plot", f"plot-{number}"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment | {"PYTHONHASHSEED": number}, capture_output=True, check=True
        )
        plots = [path.read_bytes() for path in sorted((tmp_path / f"plot-{number}").iterdir())]
        assert len(plots) == 2
        outputs.append((done.stdout, (tmp_path / f"{number}.html").read_bytes(), *plots))
    assert outputs[0] == outputs[1]
    report = json.loads(outputs[0][0])
    jsonschema.validate(report, schema())
    default, boosting = report["contestants"]
    assert (default["name"], boosting["name"]) == ("default", "gradient-boosting")
    assert default["steps"] > 0
    assert default["whole"]["scored"] + default["whole"]["unanswered"] == report["labelled"] == 300
    assert default["whole"]["accuracy"] > 0.3
    assert boosting["differences"]["accuracy"]["low"] <= boosting["differences"]["accuracy"]["value"]


def test_a_comparison_gives_each_what_it_scores_alone() -> None:
    compared = configurations(quick(), ["wide:width=16", "wide:students=sage,gcn"])
    both = evaluate(tiny_source(200), compared, ["vote"])
    alone = [evaluate(tiny_source(200), [one]).contestants[0] for one in compared]
    assert [(one.whole, one.course, one.classes) for one in both.contestants[:2]] == [
        (one.whole, one.course, one.classes) for one in alone
    ]
    found = both.contestants[1].differences
    assert found is not None
    assert found.accuracy is not None
    assert found.accuracy.low is not None
    assert both.contestants[1].changed == {"width": "16", "students": "sage,gcn"}
    assert both.contestants[0].differences is None


def test_the_same_configuration_twice_has_no_difference() -> None:
    report = evaluate(tiny_source(160), configurations(quick(), ["same:width=8"]))
    found = report.contestants[1].differences
    assert found is not None
    assert found.accuracy is not None
    assert found.log_loss is not None
    assert (found.accuracy.value, found.accuracy.low, found.accuracy.high) == (0.0, 0.0, 0.0)
    assert found.log_loss.value == 0.0


def test_every_known_class_is_scored_or_counted_as_unanswered() -> None:
    report = evaluate(tiny_source(160), configurations(quick(), []), ["majority"])
    known = sum(len(batch.truths) for batch in tiny_batches(160))
    for contestant in report.contestants:
        assert contestant.whole.scored + contestant.whole.unanswered == known == report.labelled
        assert sum(point.scored for point in contestant.course) == contestant.whole.scored
        assert sum(row.support for row in contestant.classes.classes) == contestant.whole.scored


def test_the_page_shows_in_a_browser_and_loads_nothing(tmp_path: Path) -> None:
    report = evaluate(tiny_source(160), configurations(quick(), ["<b>&:width=16"]), ["vote"])
    file = tmp_path / "report.html"
    file.write_text(page(report), encoding="utf-8")
    with running_chromium() as browser:
        tab = browser.new_page()
        requested: list[str] = []
        problems: list[str] = []
        tab.on("request", lambda request: requested.append(request.url))
        tab.on("console", lambda message: problems.append(message.text))
        tab.goto(file.as_uri())
        assert requested == [file.as_uri()]
        assert problems == []
        assert tab.locator("svg").count() == 2
        assert tab.locator("polyline").count() >= 6
        names = tab.locator("table").first.locator("tbody td:first-child").all_inner_texts()
        assert names == ["default", "<b>&", "vote"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npz"], "nowhere.npz: no such file"),
        (["digits", "--set", "depth=3"], "there is no setting depth"),
        (["digits", "--baseline", "oracle"], "there is no baseline oracle"),
        (["digits", "--set", "vote:width=8", "--baseline", "vote"], "two contestants have one name"),
        (["digits", "--set", "students=nobody"], "there is no student nobody"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["evaluate", *arguments, "--limit", "20"])
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.output


def test_events_on_standard_input_for_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        json.dumps({"op": "upsert_node", "id": place, "x": [place % 2], "label": place % 2}) for place in range(60)
    ]
    sets = [part for change in QUICK for part in ("--set", f"quick:{change}")]
    result = CliRunner().invoke(app, ["evaluate", "-", "--steps", "1", *sets], input="\n".join(lines))
    assert result.exit_code == 0, result.output
    assert "prequential scores at arrival" in result.stdout
    assert "less default" in result.stdout
    assert "60 nodes arrived in 3 entries of 60 events; 60 have a known class" in result.stdout


def test_types_of_a_mapping_file_are_declared(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STUDENTS": "sage", "WIDTH": "8", "WARMUP_STEPS": "1", "STEPS_PER_ENTRY": "1"}.items():
        monkeypatch.setenv(f"OLAD_{name}", value)
    examples = Path(__file__).parents[3] / "docs" / "examples"
    command = ["evaluate", str(examples / "payments.csv"), "--mapping", str(examples / "payments.yaml"), "--json"]
    command += ["--limit", "900", "--label-delay", "5d", "--baseline", "gradient-boosting", "--baseline", "vote"]
    done = runner.invoke(app, command)
    assert done.exit_code == 0, done.stderr
    contestants = json.loads(done.stdout)["contestants"]
    assert [contestant["rejected"] for contestant in contestants] == [0, 0, 0]
    assert all(contestant["whole"]["scored"] > 100 for contestant in contestants)
