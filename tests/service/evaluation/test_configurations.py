from __future__ import annotations

import pytest

from olad_core.events import ClassDecision
from service.evaluation.configurations import WrongConfiguration, configurations
from service.settings import Settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("width", "give SETTING=VALUE"),
        ("depth=3", "there is no setting depth of learning"),
        ("port=80", "there is no setting port of learning"),
        ("width=33", "--set width=33: width=33: Input should be a multiple of 4"),
        ("a:learning_rate=fast", "--set a: learning_rate=fast: Input should be a valid number"),
        ("students=", "students"),
        ('decisions={"b": {"threshold": 2}}', "b.threshold: Input should be less than or equal to 1"),
        ('decisions={"b": {"threshold": 0.2, "cost": 3}}', "b: give one of threshold, cost and top_share"),
        ("decisions=b", "Expecting value"),
        ("decisions=[]", "Input should be a valid dictionary"),
    ],
)
def test_what_cannot_be_set_is_named(given: str, message: str) -> None:
    with pytest.raises(WrongConfiguration) as caught:
        configurations(Settings(), [given])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_setting_has_one_value_in_a_configuration() -> None:
    with pytest.raises(WrongConfiguration, match="small has a value of width already"):
        configurations(Settings(), ["small:width=8", "small:width=16"])


def test_changes_stand_on_the_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLAD_WIDTH", "16")
    default, changed = configurations(Settings(), ["OLAD_SEED=3"])
    assert (default.settings.width, changed.settings.width, changed.settings.seed) == (16, 16, 3)
    assert changed.name == "OLAD_SEED=3"
    assert changed.changes == {"seed": "3"}


def test_decisions_are_set_beside_settings() -> None:
    given = ['flagged:decisions={"b": {"top_share": 0.01}}', "flagged:width=8"]
    default, flagged = configurations(Settings(), given)
    assert default.decisions is None
    assert flagged.decisions == {"b": ClassDecision(top_share=0.01)}
    assert flagged.settings.width == 8
