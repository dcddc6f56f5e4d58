from __future__ import annotations

from dataclasses import replace

from olad_core.config import EngineConfig
from service.partitioned.warming import compile_beforehand


def test_it_learns_as_the_settings_ask_for_it_or_nothing() -> None:
    config = EngineConfig()
    compile_beforehand(None)
    compile_beforehand(replace(config, trainer=replace(config.trainer, local_weight=0.01, measures_teaching=True)))
