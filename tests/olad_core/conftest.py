"""Tests of the core compute on one thread: the tensors are tiny, and threads only wait for each other."""

import pytest
import torch

from olad_core.serving import embedding
from service.worker.temporal_library import import_temporal_library

torch.set_num_threads(1)
import_temporal_library()


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the embedding of a new version take many steps."""
    monkeypatch.setattr(embedding, "CHUNK", 16)
