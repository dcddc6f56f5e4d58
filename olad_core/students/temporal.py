"""The recurrent cells of torch-geometric-temporal, importable without torch-sparse.

torch-sparse builds from source for a quarter of an hour and is needed for one type annotation in one
module of torch-geometric-temporal. Where it is absent, PyG's own stand-in for that type takes its name.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from types import ModuleType

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script while it is imported
    from torch_geometric import typing as pyg_typing

    if "torch_sparse" not in sys.modules and importlib.util.find_spec("torch_sparse") is None:
        stand_in = ModuleType("torch_sparse")
        stand_in.SparseTensor = pyg_typing.SparseTensor  # type: ignore[attr-defined]
        sys.modules["torch_sparse"] = stand_in
    from torch_geometric_temporal.nn.recurrent.evolvegcno import EvolveGCNO
    from torch_geometric_temporal.nn.recurrent.temporalgcn import TGCN

__all__ = ["TGCN", "EvolveGCNO"]
