"""The Python client of the service; installed under the name ``olad``, too.

It needs neither FastAPI, nor Redis, nor torch.
"""

from olad_core.events import (
    ClassDecision,
    Event,
    GraphSchema,
    LabelNode,
    RemoveEdge,
    RemoveNode,
    SparseFeatures,
    UpsertEdge,
    UpsertNode,
)
from olad_core.graph_types import EdgeType, NodeType
from service.client.async_http import AsyncClient
from service.client.errors import (
    Busy,
    IdempotencyKeyReused,
    InvalidBatch,
    InvalidRequest,
    KeyRefused,
    NoModel,
    NoService,
    NoTask,
    NotKept,
    NotReady,
    PositionNotReached,
    ProblemDetails,
    Refused,
    SchemaConflict,
    ServiceError,
    TooLarge,
    UnknownClass,
    UnknownEdge,
    UnknownNode,
    UnknownVersion,
    Unreachable,
)
from service.client.http import Client

__all__ = [
    "AsyncClient",
    "Busy",
    "ClassDecision",
    "Client",
    "EdgeType",
    "Event",
    "GraphSchema",
    "IdempotencyKeyReused",
    "InvalidBatch",
    "InvalidRequest",
    "KeyRefused",
    "LabelNode",
    "NoModel",
    "NoService",
    "NoTask",
    "NodeType",
    "NotKept",
    "NotReady",
    "PositionNotReached",
    "ProblemDetails",
    "Refused",
    "RemoveEdge",
    "RemoveNode",
    "SchemaConflict",
    "ServiceError",
    "SparseFeatures",
    "TooLarge",
    "UnknownClass",
    "UnknownEdge",
    "UnknownNode",
    "UnknownVersion",
    "Unreachable",
    "UpsertEdge",
    "UpsertNode",
]
