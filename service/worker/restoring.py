"""From a checkpoint to an engine, or to the reason why it cannot be one.

Checksums find what the disk has changed. What is checked here is that the content can be a state at all: a wrong type,
length or offset must end in a message, not in a crash later on or in another graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import numpy as np
import structlog
import torch
from msgspec import Meta, Struct
from torch import Tensor

from olad_core.config import EngineConfig
from olad_core.engine import Engine
from olad_core.engine_state import OF_STUDENTS, ServedLost, asks_for_new_students
from olad_core.graph.state_check import check_graph_state
from olad_core.judging.assessment import Assessment
from olad_core.judging.class_scores import CONFUSED_CLASSES
from olad_core.judging.decisions import Decision
from olad_core.judging.succession import Succession
from olad_core.named_state import take_part
from olad_core.tasks.node_class import RANK_BINS, RANKED_CLASSES
from service.worker.checkpoint import BrokenCheckpoint, Checkpoint
from service.worker.combined_state import COMBINED, check_combined, whole_combined
from service.worker.earlier_formats import converted, embedded_again
from service.worker.teachers_state import TEACHERS, wanted_teachers
from service.worker.twins_state import WORTH, check_worth, whole_twins

log = structlog.get_logger(__name__)

_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Amount = Annotated[float, Meta(ge=0, le=1e300)]
_Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]
_Width = Annotated[int, Meta(ge=0, le=65_536)]
_Position = Annotated[str, Meta(pattern=r"^[0-9]{1,20}-[0-9]{1,20}$")]
_ROW_TABLES = re.compile(
    r"versions/(served|candidate)/((?:member/\d+/)?(layer/\d+|embedding)|marked/\d+|forest/answers|linear/answers|linear/shares|origin|in_weight)"
)
_OF_STUDENTS = (*OF_STUDENTS, "versions/", "succession/", "kept/")
_CHECKED_APART = (COMBINED, WORTH, TEACHERS)
_BY_CLASS = ("arrivals/probabilities", "scores/classes", "scores/faded_classes", "standing/f1/counts")
_BY_CLASS_SINCE = re.compile(r"scores/by_class/(ranks|faded_ranks|confusion)")
"""Checkpoints of earlier releases have none of these."""
_ON_METRIC_SINCE = re.compile(r"standing/(log_loss|rank|f1|balance|evidence)/.*")
"""Checkpoints of earlier releases have none of these, and those under another OLAD_METRIC other ones."""
_ANY_LENGTH = (
    "standing/rank/metric",
    "drift/row_lengths",
    "drift/buckets",
    "arrivals/rows",
    "arrivals/arrival",
    "arrivals/probabilities",
)


class _Held(Struct, kw_only=True):
    number: _Count
    student: str
    classes: list[str]
    architecture: str
    # Of a version of the group: name and architecture of each student.
    members: list[tuple[str, str]] = []
    position: _Position
    feature_width: _Width
    width: Annotated[int, Meta(ge=1, le=65_536)]
    former: bool = False


class _Versions(Struct):
    next_number: _Count
    served_since: _Count
    refused: _Count
    served: _Held | None = None
    candidate: _Held | None = None


class _Trainer(Struct):
    steps: _Count
    skipped_steps: _Count
    resets: _Count
    spoilt: list[_Count]
    capacity: _Count
    feature_width: _Width
    random: dict[str, object]


class _Window(Struct):
    count: _Count
    weight: _Amount
    mean: _Finite
    squares: _Amount


class _Convergence(Struct):
    steps: _Amount
    restarts: _Count
    exhausted: bool
    lowest: tuple[_Finite, _Amount] | None
    stale: _Count
    window: _Window


class _Decisions(Struct):
    total: _Count
    kept: list[Decision]


class _Values(Struct):
    """What stands in ``values.json``; more may stand there."""

    position: _Position
    applied_events: _Count
    rejected_events: _Count
    classes_seen: list[_Count]
    advance_event: _Count
    decisions: _Decisions
    students: list[str]
    width: _Width
    versions: _Versions
    version_step: _Count
    version_took: _Count
    # Earlier releases wrote none of these.
    version_evidence: tuple[_Count, _Count] = (0, 0)
    version_grown_at: _Count = 0
    convergence: _Convergence | None = None
    renewal: str | None = None
    trainer: _Trainer | None = None


def restore(config: EngineConfig, checkpoint: Checkpoint, device: torch.device, *, keep_served: bool = True) -> Engine:
    """The engine whose state the checkpoint holds.

    Where the configuration has other students, or asks for new ones, they begin beside what is served. Of a checkpoint
    whose students this release cannot read, new ones that are asked for keep the graph, its labels and the scores.

    Args:
        config: of the engine.
        checkpoint: holds the state.
        device: where it computes.
        keep_served: whether what is served stays where new students begin.

    Raises:
        ServedLost: what is served is of a student that is not registered.
        BrokenCheckpoint: its content is no engine's state.
        MemoryError: there is too little memory for it, which is no fault of the checkpoint.
    """
    try:
        values = msgspec.convert(checkpoint.values, _Values)
        tensors = converted(checkpoint.tensors, values.position, values.applied_events)
        tensors, plain = embedded_again(tensors, checkpoint.values)
        _check_tensors(tensors, values)
        new = Assessment(_with_students(config, values))
        tensors = whole_combined(_on_metric(tensors, new.state()), new.state())
        if not config.grows_trees:
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("trees/")}
        if not config.solves_linear:
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("linear/")}
        tensors = whole_twins(tensors, wanted=config.trainer.has_twins)
        tensors = wanted_teachers(tensors, new.teachers)
        _check_scores(tensors, new)
        check_worth(tensors, len(tensors["graph/label"]))
        check_combined(tensors, new.state())
        if keep_served:
            engine = _restored(config, tensors, plain, device)
        else:
            engine = Engine.restore(config, tensors, plain, device, keep_served=False)
        _compare_types(tensors, engine)
    except (ServedLost, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "can't allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        raise BrokenCheckpoint(
            f"{checkpoint.path}: is whole, but this release cannot read it ({type(error).__name__}: {error})"
        ) from error
    return engine


def restore_as_it_was(checkpoint: Checkpoint, device: torch.device) -> Engine:
    """The engine whose state the checkpoint holds, with the students it was made with.

    Raises:
        BrokenCheckpoint: its content is no engine's state.
    """
    try:
        values = msgspec.convert(checkpoint.values, _Values)
        config = _with_students(EngineConfig(), values)
        return restore(config, checkpoint, device)
    except BrokenCheckpoint:
        raise
    except ValueError as error:
        raise BrokenCheckpoint(f"{checkpoint.path}: {error}") from error


def _on_metric(tensors: Mapping[str, Tensor], wanted: Mapping[str, object]) -> Mapping[str, Tensor]:
    """The tensors without those that were counted for another metric than the one that is wanted now."""
    parts = {_part_on_metric(name) for name in wanted}
    return {name: tensor for name, tensor in tensors.items() if _part_on_metric(name) in {None, *parts}}


def _part_on_metric(name: str) -> str | None:
    """The part of the state that a tensor of a standing on a metric belongs to; its tensors come together."""
    found = _ON_METRIC_SINCE.fullmatch(name)
    return None if found is None else found[1]


def _with_students(config: EngineConfig, values: _Values) -> EngineConfig:
    students = msgspec.convert(values.students, tuple[str, ...])
    return replace(config, trainer=replace(config.trainer, students=students, width=values.width))


def _restored(
    config: EngineConfig, tensors: Mapping[str, Tensor], values: Mapping[str, Any], device: torch.device
) -> Engine:
    try:
        return Engine.restore(config, tensors, values, device)
    except Exception as error:
        if not asks_for_new_students(config, values):
            raise
        log.warning("what is served cannot be kept beside new students", problem=f"{type(error).__name__}: {error}")
        return Engine.restore(config, tensors, values, device, keep_served=False)


def _check_tensors(tensors: Mapping[str, Tensor], values: _Values) -> None:
    arrays = {name: tensor.numpy() for name, tensor in take_part(tensors, "graph").items()}
    check_graph_state(arrays)
    end, classes = len(arrays["label"]), len(arrays["class_offsets"]) - 1
    if any(number >= classes for number in values.classes_seen):
        raise ValueError("classes_seen: names a class that the graph does not have")
    for name in ("replay/rows", "touched/rows", "arrivals/rows"):
        rows = tensors[name]
        if rows.ndim != 1 or rows.dtype != torch.int64:
            raise ValueError(f"{name}: {rows.dtype} {list(rows.shape)}, not int64 [any]")
        # A place that nothing was put into yet holds 0 or -1.
        if len(rows) and not -1 <= int(rows.min()) <= int(rows.max()) < max(1, end):
            raise ValueError(f"{name}: holds rows that the graph does not have")
    for name, tensor in tensors.items():
        if _ROW_TABLES.fullmatch(name) and (tensor.ndim == 0 or len(tensor) != end):
            raise ValueError(f"{name}: {list(tensor.shape)}, where the graph has {end} rows")
    if values.trainer is not None:
        labels = tensors.get("trainer/student/0/encoder.labels")
        if labels is None or labels.ndim == 0 or len(labels) != values.trainer.capacity:
            raise ValueError("trainer: its capacity is not that of its students")


def _check_scores(tensors: Mapping[str, Tensor], new: Assessment) -> None:
    """See that the scores' arrays are as those of a new engine, but for the number of classes and of arrivals."""
    on_metric = {_part_on_metric(name) for name in tensors}
    checked = {name: array for name, array in new.state().items() if not name.startswith(_CHECKED_APART)}
    for name, wanted in checked.items():
        if (part := _part_on_metric(name)) and part not in on_metric:
            continue
        if _BY_CLASS_SINCE.fullmatch(name):
            _check_by_class(name, tensors, wanted.dtype)
            continue
        found = tensors[name].numpy()
        shapes = [list(array.shape) for array in (found, wanted)]
        for shape in shapes:
            if name in _BY_CLASS and shape:
                del shape[-1]
            if name in _ANY_LENGTH and shape:
                del shape[0]
        if (found.dtype, found.ndim) != (wanted.dtype, wanted.ndim) or shapes[0] != shapes[1]:
            raise ValueError(f"{name}: {found.dtype} {list(found.shape)}, not {wanted.dtype} {list(wanted.shape)}")
    rows, arrival, probabilities = (tensors[f"arrivals/{part}"] for part in ("rows", "arrival", "probabilities"))
    # Earlier releases wrote the probabilities of every slot.
    if len(rows) != len(arrival) or len(probabilities) not in {len(rows), int((rows >= 0).sum())}:
        raise ValueError("arrivals: its arrays have different lengths")
    if succession := take_part(tensors, "succession"):
        # One more where the group could be served, too.
        students = len(new.training_loss())
        _check_succession(succession, students + (succession["right"].shape[-1] > students))
    losses = take_part(tensors, "losses")
    if losses and "supervised" not in losses:
        raise ValueError("losses/supervised: is not there")
    for name, loss in losses.items():
        if loss.dtype != torch.float64 or loss.ndim != 1:
            raise ValueError(f"losses/{name}: {loss.dtype} {list(loss.shape)}, not float64 [any]")


def _check_succession(found: Mapping[str, Tensor], students: int) -> None:
    """See that the comparison with a version of a former group has the shape of a new one, but for classes."""
    for name, wanted in Succession(students, memory=1.0).state().items():
        shape, expected = list(found[name].shape), list(wanted.shape)
        if name == "f1/counts":
            shape, expected = shape[:2], expected[:2]
        if found[name].numpy().dtype != wanted.dtype or found[name].ndim != wanted.ndim or shape != expected:
            raise ValueError(f"succession/{name}: {found[name].dtype} {shape}, not {wanted.dtype} {expected}")


def _check_by_class(name: str, tensors: Mapping[str, Tensor], dtype: np.dtype[np.generic]) -> None:
    """See that an array of scores by class has the shape that it is used in; it may be missing, with the others."""
    parts = [other for other in tensors if _BY_CLASS_SINCE.fullmatch(other)]
    if not parts:
        return
    found, predictors = tensors[name].numpy(), tensors["scores/scored"].shape[0]
    side = len(found)
    fits = found.shape == (side, side) and 1 <= side <= CONFUSED_CLASSES + 1
    if not name.endswith("confusion"):
        classes = found.shape[2] if found.ndim == 4 else 0
        fits = found.shape == (2, predictors, classes, RANK_BINS) and classes <= RANKED_CLASSES
    if found.dtype != dtype or not fits:
        raise ValueError(f"{name}: {found.dtype} {list(found.shape)}")


def _compare_types(given: Mapping[str, Tensor], engine: Engine) -> None:
    """See that every tensor was taken over, and as what it was, but for those of students that begin anew."""
    taken_over = engine.state()[0]
    for name, tensor in given.items():
        if name not in taken_over:
            if engine.renewed and name.startswith(_OF_STUDENTS):
                continue
            raise ValueError(f"{name}: is no part of the state")
        found = taken_over[name]
        if (tensor.dtype, tensor.ndim) != (found.dtype, found.ndim):
            raise ValueError(f"{name}: {tensor.dtype} {list(tensor.shape)}, not {found.dtype} {list(found.shape)}")
