"""Imports torch-geometric-temporal, whose recurrent cells some students use, and less than it asks for.

torch-sparse builds from source for a quarter of an hour, and one module of torch-geometric-temporal needs it for one
type annotation. PyG's own stand-in for that type is put in its place while the library is imported.

PyG imports torch's compiler, which takes three quarters of the time, for one name that it reads when it is given a
compiled model. An empty module is there meanwhile; torch imports the compiler when somebody reads that name.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

_ABSENT = "torch_sparse"
_COMPILER = "torch._dynamo"


def import_temporal_library() -> None:
    """Import torch-geometric-temporal, so that ``olad_core.students`` can build EvolveGCN and T-GCN.

    Call it before the first such student is built. A second call changes nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script while it is imported
        with _stand_in(_COMPILER):
            # First: PyG finds out while it is imported whether torch-sparse is there.
            from torch_geometric.typing import SparseTensor  # noqa: PLC0415
        with contextlib.ExitStack() as replaced:
            if importlib.util.find_spec(_ABSENT) is None:
                replaced.enter_context(_stand_in(_ABSENT, SparseTensor=SparseTensor))
            importlib.import_module("torch_geometric_temporal.nn.recurrent")


@contextlib.contextmanager
def _stand_in(name: str, **content: object) -> Iterator[None]:
    """A module with this content in the place of one that has not been imported."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = module = ModuleType(name)
    vars(module).update(content)
    try:
        yield
    finally:
        del sys.modules[name]
