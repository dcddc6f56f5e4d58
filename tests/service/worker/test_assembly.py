from __future__ import annotations

import pytest

from olad_core.config import EngineConfig
from olad_core.students import ARCHITECTURES
from service.settings import Settings
from service.worker.assembly import engine_config


def test_unset_settings_give_the_defaults_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"OLAD_{name.upper()}", raising=False)
    assert engine_config(Settings()) == EngineConfig()


def test_every_architecture_can_be_set() -> None:
    assert Settings.model_validate({"students": ",".join(ARCHITECTURES)}).students == tuple(ARCHITECTURES)
