"""Imports torch-geometric-temporal, whose recurrent cells some students use, where torch-sparse is absent.

torch-sparse builds from source for a quarter of an hour, and one module of torch-geometric-temporal needs it for one
type annotation. PyG's own stand-in for that type is put in its place while the library is imported.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from types import ModuleType

_ABSENT = "torch_sparse"


def import_temporal_library() -> None:
    """Import torch-geometric-temporal, so that ``olad_core.students`` can build EvolveGCN and T-GCN.

    Call it before the first such student is built. A second call changes nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script while it is imported
        # First: PyG finds out while it is imported whether torch-sparse is there.
        from torch_geometric.typing import SparseTensor  # noqa: PLC0415

        absent = _ABSENT not in sys.modules and importlib.util.find_spec(_ABSENT) is None
        if absent:
            stand_in = ModuleType(_ABSENT)
            stand_in.SparseTensor = SparseTensor  # type: ignore[attr-defined]
            sys.modules[_ABSENT] = stand_in
        try:
            importlib.import_module("torch_geometric_temporal.nn.recurrent")
        finally:
            if absent:
                del sys.modules[_ABSENT]
