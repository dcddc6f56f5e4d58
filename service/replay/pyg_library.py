"""The parts of PyG that files are made of."""

from __future__ import annotations

import warnings
from typing import Any


def pyg_data() -> Any:
    """The module ``torch_geometric.data``.

    Raises:
        ModuleNotFoundError: PyG, which is in the extra ``worker``, is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyG calls torch.jit.script while it is imported
        import torch_geometric.data  # noqa: PLC0415 (large)

    return torch_geometric.data


def safe_classes() -> list[Any]:
    """The classes that ``Data``, ``HeteroData`` and ``TemporalData`` consist of; making one runs no other code."""
    data = pyg_data()
    storage = data.storage
    stores = [storage.BaseStorage, storage.GlobalStorage, storage.NodeStorage, storage.EdgeStorage]
    return [data.Data, data.HeteroData, data.TemporalData, data.data.DataEdgeAttr, data.data.DataTensorAttr, *stores]
