"""Calls of an engine as bytes, so that the engines of other ranks make the same ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any, get_origin, get_type_hints

import msgspec
import numpy as np
from pydantic import BaseModel

from olad_core.engine import Engine
from olad_core.event_codec import encode_log
from olad_core.graph.event_columns import EventColumns, columns_of_log

REPEATED = frozenset(
    {
        "apply",
        "ask",
        "change_version",
        "compute_due",
        "declare",
        "embed",
        "finish",
        "follow_load",
        "learn",
        "make_list",
        "pass_over",
        "refresh",
        "republish",
        "restart_training",
        "set_clock",
        "skip",
        "state",
        "take_forest",
        "take_publication",
        "tidy",
        "train_part",
        "whole",
    }
)
"""Methods of an engine that change it, or exchange with other ranks. What else the worker calls only reads."""
_EVENTS = "events"
"""Arguments of this name are sent as the batch that the log holds."""


def encode_call(name: str, arguments: Sequence[Any], named: dict[str, Any]) -> bytes:
    """A call of a method of :data:`REPEATED` as bytes."""
    given = _signature(name).bind(None, *arguments, **named).arguments
    del given["self"]
    if (events := given.get(_EVENTS)) is not None:
        given[_EVENTS] = events.payload if isinstance(events, EventColumns) else encode_log(events)
    return msgspec.msgpack.encode((name, given), enc_hook=_encoded)


def make_call(engine: Engine, call: bytes) -> None:
    """Make a call that :func:`encode_call` encoded.

    Raises:
        Exception: whatever the engine raises.
    """
    name, raw = msgspec.msgpack.decode(call, type=tuple[str, msgspec.Raw])
    given = msgspec.msgpack.decode(raw, type=_arguments_of(name), dec_hook=_decoded)
    there = {each: getattr(given, each) for each in given.__struct_fields__}
    getattr(engine, name)(**{each: value for each, value in there.items() if value is not msgspec.UNSET})


@functools.cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(getattr(Engine, name))


@functools.cache
def _arguments_of(name: str) -> type[msgspec.Struct]:
    """A structure with the arguments of a method, as it annotates them; none of them need be given."""
    types = get_type_hints(getattr(Engine, name))
    del types["return"]
    if _EVENTS in types:
        types[_EVENTS] = EventColumns
    return msgspec.defstruct(name, [(each, kind | msgspec.UnsetType, msgspec.UNSET) for each, kind in types.items()])


def _encoded(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump_json().encode()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    raise NotImplementedError(type(value).__name__)


def _decoded(kind: type, value: Any) -> object:
    if kind is EventColumns:
        return columns_of_log(value)
    if get_origin(kind) is np.ndarray:
        dtype, shape, content = value
        return np.frombuffer(bytearray(content), dtype).reshape(shape)
    if issubclass(kind, BaseModel):
        return kind.model_validate_json(value)
    raise NotImplementedError(kind.__name__)
