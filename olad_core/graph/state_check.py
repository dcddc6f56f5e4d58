"""Whether arrays can be a graph's state: the compiled loops that will work on them check no index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from olad_core.config import STRUCTURE, STRUCTURE_STEPS
from olad_core.errors import OladError
from olad_core.events import GraphSchema
from olad_core.graph.relations import RelationRule, parts_of
from olad_core.graph.text import unpack
from olad_core.graph.typed_features import part_name
from olad_core.named_state import take_part

Array = npt.NDArray[Any]

_MOST_UNUSED = 1_000_000
_SCALARS = {
    "capacity": "int64",
    "feature_width": "int64",
    "feature_width_held": "bool",
    "directed": "bool",
    "edge_lifetime": "float64",
    "clock": "float64",
    "arrivals": "int64",
}
_ROWS = {
    "label": "int32",
    "arrival": "int64",
}
_LISTS = {
    "classes": "uint8",
    "class_offsets": "int64",
    "ids": "uint8",
    "id_offsets": "int64",
    "removed_ids": "uint8",
    "removed_id_offsets": "int64",
    "free_rows": "int64",
}
_EDGES = {"edge_key": "int64", "edge_time": "float64", "edge_place_source": "int32", "edge_place_target": "int32"}
_PARALLEL = {
    "parallel_source": "int32",
    "parallel_target": "int32",
    "parallel_weight": "float32",
    "parallel_time": "float64",
    "parallel_following": "int32",
}
_STRUCTURE_ROWS = {"edge_first": "float64", "edge_last": "float64", "edge_gap": "float64"}
"""Checkpoints of earlier releases have none of these."""
_SLAB_ROWS = {"offset": "int64", "length": "int32", "capacity": "int32"}
_SLAB_PLACES = {"neighbour": "int32", "weight": "float32"}


class NoState(OladError, ValueError):
    """Arrays that are no graph's state."""


def check_graph_state(state: Mapping[str, Array]) -> None:
    """Check names, types, shapes, and that every row, offset and place lies where it must.

    Raises:
        NoState: naming the first array that is wrong.
    """
    for name, dtype in _SCALARS.items():
        _typed(state, name, dtype, ())
    for name, dtype in _LISTS.items():
        _typed(state, name, dtype, (None,))
    end = _typed(state, "label", "int32", (None,)).size
    for name, dtype in _ROWS.items():
        _typed(state, name, dtype, (end,))
    width = int(state["feature_width"])
    _require(0 <= width <= 2**20, "feature_width")
    if "node_types" in state:
        _check_types(state, end)
    else:
        _typed(state, "feature_slot", "int32", (end,))
        _typed(state, "feature_free_slots", "int64", (None,))
        _check_features(state, width)
    _require(end <= int(state["capacity"]) <= 2 * end + _MOST_UNUSED, "capacity")
    _require(int(state["arrivals"]) >= 0, "arrivals")
    _require(not np.isnan(state["clock"]), "clock")
    classes = _texts(state, "classes", "class_offsets")
    _require(len(set(classes)) == len(classes), "classes")
    label = state["label"]
    _require(_within(label, -1, len(classes)), "label")
    _check_structure(state, end)
    alive = _check_ids(state, end)
    for rule, part in _relations(state):
        directed = bool(state["directed"]) if rule is None else rule.directed
        _check_edges(part, alive, directed)
        if rule is not None and rule.has_table:
            _check_parallel(part, directed, rule.width)


def _check_types(state: Mapping[str, Array], end: int) -> None:
    """Check the types of the nodes, and the features of each type."""
    try:
        types = GraphSchema.model_validate_json(state["node_types"].tobytes()).node_types
    except ValueError as error:
        raise NoState(f"node_types: {error}") from None
    _require(_within(_typed(state, "node_kind", "int16", (end,)), -1, len(types)), "node_kind")
    for number, each in enumerate(types.values()):
        part = take_part(state, part_name(number))
        _typed(part, "feature_slot", "int32", (end,))
        _typed(part, "feature_free_slots", "int64", (None,))
        _check_features(part, each.feature_width or 0)


def _check_features(state: Mapping[str, Array], width: int) -> None:
    """Check that every slot is that of one row, or free."""
    slots = len(_typed(state, "feature_values", "float32", (None, width)))
    taken, free = state["feature_slot"], state["feature_free_slots"]
    _require(_within(taken, 0, slots + 1), "feature_slot")
    _require(_within(free, 1, slots + 1), "feature_free_slots")
    taken = np.concatenate([taken[taken > 0], free])
    _require(taken.size == np.unique(taken).size == slots, "feature_slot")


def _check_structure(state: Mapping[str, Array], end: int) -> None:
    if "structure" not in state and not state.keys() & _STRUCTURE_ROWS.keys():
        return
    _require(_within(_typed(state, "structure", "uint8", (end, len(STRUCTURE))), 0, STRUCTURE_STEPS), "structure")
    _typed(state, "structure_due", "bool", ())
    for name, dtype in _STRUCTURE_ROWS.items():
        _typed(state, name, dtype, (end,))


def _check_ids(state: Mapping[str, Array], end: int) -> npt.NDArray[np.bool_]:
    """Check the ids; which rows hold a node."""
    ids = _texts(state, "ids", "id_offsets")
    _require(len(ids) == end, "ids")
    _texts(state, "removed_ids", "removed_id_offsets")
    living = [node for node in ids if node]
    _require(len(set(living)) == len(living), "ids")
    alive = np.fromiter(map(bool, ids), np.bool_, end)
    free = state["free_rows"]
    _require(_within(free, 0, end) and not alive[free].any() and np.unique(free).size == free.size, "free_rows")
    return alive


def _relations(state: Mapping[str, Array]) -> list[tuple[RelationRule | None, Mapping[str, Array]]]:
    """The arrays of each type's edges, with its rule where types are declared."""
    try:
        return parts_of(state)
    except (ValueError, TypeError) as error:
        raise NoState(f"relations: {error}") from None


def _check_edges(state: Mapping[str, Array], alive: npt.NDArray[np.bool_], directed: bool) -> None:
    end = alive.size
    for name, dtype in _EDGES.items():
        _typed(state, name, dtype, (None,))
    _typed(state, "in_weight", "float64", (end,))
    if directed and "out_weight" in state:
        _typed(state, "out_weight", "float64", (end,))
    keys = state["edge_key"]
    for name in _EDGES:
        _require(state[name].size == keys.size, name)
    _require(not np.isnan(state["edge_time"]).any(), "edge_time")
    source, target = keys >> 32, keys & 0xFFFFFFFF
    _require(_within(source, 0, end) and _within(target, 0, end), "edge_key")
    _require(bool(alive[source].all() and alive[target].all()), "edge_key")
    _require(np.unique(keys).size == keys.size, "edge_key")
    _require(directed or bool((source <= target).all()), "edge_key")
    loops = 0 if directed else int(np.count_nonzero(source == target))
    _check_slabs(state, "incoming", end, keys.size if directed else 2 * keys.size - loops)
    outgoing = "outgoing" if directed else "incoming"
    if directed:
        _check_slabs(state, "outgoing", end, keys.size)
    _check_places(state, outgoing, "edge_place_source", source, target)
    _check_places(state, "incoming", "edge_place_target", target, source)


def _check_parallel(state: Mapping[str, Array], directed: bool, width: int) -> None:
    """Check that the edges of each pair of rows are one list."""
    ids = _texts(state, "parallel_ids", "parallel_id_offsets")
    used, keys = np.fromiter(map(bool, ids), np.bool_, len(ids)), state["edge_key"]
    _require(len({*ids} - {""}) == int(used.sum()), "parallel_ids")
    free = _typed(state, "parallel_free", "int64", (None,))
    _require(np.array_equal(np.sort(free), np.flatnonzero(~used)), "parallel_free")
    for name, dtype in _PARALLEL.items():
        _typed(state, name, dtype, (len(ids),))
    if width:
        x = _typed(state, "parallel_x", "float32", (len(ids), width))
        _require(bool(np.isfinite(x).all()), "parallel_x")
    head = _typed(state, "parallel_head", "int32", keys.shape)
    total = _typed(state, "parallel_total", "float64", keys.shape)
    _require(bool((np.isfinite(total) & (total > 0)).all()), "parallel_total")
    source, target = (state[f"parallel_{end}"].astype(np.int64) for end in ("source", "target"))
    _require(np.array_equal(source >= 0, used), "parallel_source")
    weight = state["parallel_weight"][used]
    _require(bool((np.isfinite(weight) & (weight > 0)).all()), "parallel_weight")
    _require(not np.isnan(state["parallel_time"][used]).any(), "parallel_time")
    own_key = source << 32 | target if directed else np.minimum(source, target) << 32 | np.maximum(source, target)
    seen, at, key = np.zeros(len(ids), np.bool_), head.astype(np.int64), keys
    while at.size:
        # A number that stands twice ends the loop, so that a list without end does too.
        _require(
            _within(at, 0, len(ids)) and not seen[at].any() and np.unique(at).size == at.size, "parallel_following"
        )
        _require(bool((used[at] & (own_key[at] == key)).all()), "parallel_following")
        seen[at] = True
        following = state["parallel_following"][at].astype(np.int64)
        at, key = following[following != -1], key[following != -1]
    _require(np.array_equal(seen, used), "parallel_head")


def _check_slabs(state: Mapping[str, Array], side: str, end: int, arcs: int) -> None:
    for name, dtype in _SLAB_ROWS.items():
        _typed(state, f"{side}_{name}", dtype, (end,))
    used, given_up = (int(number) for number in _typed(state, f"{side}_used", "int64", (2,)))
    places = int(_typed(state, f"{side}_places", "int64", ()))
    _require(0 <= given_up <= used <= places <= 8 * used + _MOST_UNUSED, f"{side}_used")
    for name, dtype in _SLAB_PLACES.items():
        _typed(state, f"{side}_{name}", dtype, (used,))
    offset = state[f"{side}_offset"]
    length, capacity = (state[f"{side}_{name}"].astype(np.int64) for name in ("length", "capacity"))
    _require(bool(((length >= 0) & (length <= capacity)).all()), f"{side}_length")
    _require(bool(((offset >= 0) & (offset <= used - capacity)).all()), f"{side}_offset")
    held = np.flatnonzero(capacity)
    held = held[np.argsort(offset[held])]
    _require(bool((offset[held[:-1]] + capacity[held[:-1]] <= offset[held[1:]]).all()), f"{side}_offset")
    _require(int(length.sum()) == arcs, f"{side}_length")
    starts = np.repeat(offset - (np.cumsum(length) - length), length)
    taken = starts + np.arange(arcs)
    _require(_within(state[f"{side}_neighbour"][taken], 0, end), f"{side}_neighbour")
    weights = state[f"{side}_weight"][taken]
    _require(bool((np.isfinite(weights) & (weights > 0)).all()), f"{side}_weight")


def _check_places(state: Mapping[str, Array], side: str, name: str, row: Array, neighbour: Array) -> None:
    """Check that each edge stands in the slab of ``row`` where ``name`` puts it."""
    place = state[name].astype(np.int64)
    _require(bool(((place >= 0) & (place < state[f"{side}_length"][row])).all()), name)
    _require(bool((state[f"{side}_neighbour"][state[f"{side}_offset"][row] + place] == neighbour).all()), name)


def _texts(state: Mapping[str, Array], name: str, offsets: str) -> list[str]:
    ends = state[offsets]
    _require(ends.size > 0 and int(ends[0]) == 0 and int(ends[-1]) == state[name].size, offsets)
    _require(bool((np.diff(ends) >= 0).all()), offsets)
    try:
        return unpack(state[name], ends)
    except UnicodeDecodeError as error:
        raise NoState(f"{name}: {error}") from None


def _typed(state: Mapping[str, Array], name: str, dtype: str, shape: tuple[int | None, ...]) -> Array:
    """The array of that name, of that type and shape; None stands for any length."""
    if name not in state:
        raise NoState(f"{name}: is not there")
    array = state[name]
    fits = array.ndim == len(shape) and all(
        wanted in {None, found} for wanted, found in zip(shape, array.shape, strict=True)
    )
    if str(array.dtype) != dtype or not fits:
        wanted = [length if length is not None else "any" for length in shape]
        raise NoState(f"{name}: {array.dtype} {list(array.shape)}, not {dtype} {wanted}")
    return array


def _within(array: Array, least: int, end: int) -> bool:
    return not array.size or bool(least <= array.min() and array.max() < end)


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise NoState(f"{name}: holds what no graph's state holds")
