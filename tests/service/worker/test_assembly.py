from __future__ import annotations

import pytest

from olad_core.config import EngineConfig, TrainerConfig
from olad_core.students import ARCHITECTURES
from service.settings import Settings
from service.worker.assembly import engine_config


def test_unset_settings_give_the_defaults_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"OLAD_{name.upper()}", raising=False)
    assert engine_config(Settings()) == EngineConfig()


def test_teaching_is_measured_on_request() -> None:
    measured = engine_config(Settings.model_validate({"global_weight": "auto"})).trainer
    assert (measured.global_weight, measured.measures_teaching) == (TrainerConfig.global_weight, True)
    fixed = engine_config(Settings.model_validate({"global_weight": "0.5"})).trainer
    assert (fixed.global_weight, fixed.measures_teaching) == (0.5, False)


def test_every_architecture_can_be_set() -> None:
    assert Settings.model_validate({"students": ",".join(ARCHITECTURES)}).students == tuple(ARCHITECTURES)
