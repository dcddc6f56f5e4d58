"""Whether the same calls give the same bytes on a GPU too."""

from __future__ import annotations

import os

import torch


def compute_repeatably(repeatably: bool) -> None:
    """Let PyTorch choose operations that give the same bytes every time, or those that are fastest.

    A CPU gives the same bytes either way. On a GPU sums are else added up in any order. Call it before anything is
    computed on a GPU: cuBLAS reads its workspace's size, on which its results depend, once.

    Args:
        repeatably: whether to.
    """
    if repeatably:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(repeatably)
