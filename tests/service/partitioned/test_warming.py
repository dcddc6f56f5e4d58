from __future__ import annotations

from dataclasses import replace

import pytest

from olad_core.config import EngineConfig
from olad_core.partition.training import NotOverRanks
from service.partitioned.warming import compile_beforehand


def test_only_ranks_that_learn_need_a_configuration_that_can_be_trained() -> None:
    config = EngineConfig()
    config = replace(config, trainer=replace(config.trainer, local_weight=0.01))
    compile_beforehand(None)
    with pytest.raises(NotOverRanks, match="local_weight"):
        compile_beforehand(config)
