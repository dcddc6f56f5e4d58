from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings, environment
from service.settings_table import settings_table


def test_the_table_in_the_documentation_is_the_code_s() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == settings_table(), "run `make settings`"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_survive_the_way_through_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(students=("gcn", "sage"), steps_per_entry=3, data_dir=tmp_path, redis_url="redis://somewhere")
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
