"""Steps that are recorded once for each shape, and then repeated as a whole: for devices that wait for their launches.

A step consists of many small operations. On a GPU it takes longer to launch one than to run it. A CUDA graph launches
all operations of a step at once, on the memory that they had when they were recorded. So a recorded step reads its
inputs from fixed places, changes weights in place, decides nothing on the host and reads nothing back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from olad_core.learning.dropout import DrawnDropout
from olad_core.learning.group import Group
from olad_core.messages.inputs import StructureSteps

MOST_RECORDED = 16
"""Shapes whose steps are recorded at the same time, the last ones used."""
WARM_UP = 2
"""Steps of a shape that are taken operation by operation before it is recorded: libraries prepare in the first."""

Value = TypeVar("Value")
Inputs = TypeVar("Inputs")
Run = Callable[[], Tensor]


class Recorder(Protocol):
    """How a device records what is launched."""

    def warm_up(self, run: Run) -> Tensor:
        """Run once, as it will be recorded; its result."""

    def record(self, run: Run) -> Run:
        """Record what a call launches, without running it.

        Returns:
            What runs it again; the result is in the same memory each time.

        Raises:
            RuntimeError: it cannot be recorded.
        """

    def read(self, found: Tensor) -> Tensor:
        """A copy of a result on the host, once it is computed."""


class CudaRecorder:
    """Records CUDA graphs, which share one pool of memory: what one has computed is read before the next one runs.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, run: Run) -> Tensor:
        """Run on the stream on which it will be recorded."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            found = run()
        current.wait_stream(self._stream)
        return found

    def record(self, run: Run) -> Run:
        """Record a graph; see :meth:`Recorder.record`."""
        graph = torch.cuda.CUDAGraph()
        # A recording that fails leaves its stream the current one. Other threads may use the device meanwhile.
        with (
            torch.cuda.stream(torch.cuda.current_stream(self._device)),
            torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
        ):
            found = run()

        def again() -> Tensor:
            graph.replay()
            return found

        return again

    def read(self, found: Tensor) -> Tensor:
        """Wait asleep: a core that waits for a GPU is else busy for as long as the GPU is."""
        here = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        here.copy_(found, non_blocking=True)
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))
        done.synchronize()
        return here


class Places:
    """Tensors of fixed shapes in fixed places, which are filled by one copy for each kind of numbers.

    Args:
        like: on a CPU.
        device: where the places are.
    """

    def __init__(self, like: Mapping[str, Tensor], device: torch.device) -> None:
        self._names = {
            dtype: [name for name, tensor in like.items() if tensor.dtype == dtype]
            for dtype in {tensor.dtype for tensor in like.values()}
        }
        self._here: dict[torch.dtype, Tensor] = {}
        self._there: dict[torch.dtype, Tensor] = {}
        self.tensors: dict[str, Tensor] = {}
        """The places, by name."""
        for dtype, names in self._names.items():
            sizes = [like[name].numel() for name in names]
            self._here[dtype] = torch.empty(sum(sizes), dtype=dtype, pin_memory=device.type == "cuda")
            self._there[dtype] = torch.empty(sum(sizes), dtype=dtype, device=device)
            parts = zip(names, torch.split(self._there[dtype], sizes), strict=True)
            self.tensors |= {name: part.view(like[name].shape) for name, part in parts}

    def fill(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors of these shapes into their places. What was copied before must have been used."""
        for dtype, names in self._names.items():
            torch.cat([tensors[name].flatten() for name in names], out=self._here[dtype])
            self._there[dtype].copy_(self._here[dtype], non_blocking=True)


class _Shape:
    """Steps of one shape: where their inputs and random numbers are, and once recorded, what repeats them."""

    def __init__(self, like: Mapping[str, Tensor], numbers: Sequence[int], device: torch.device) -> None:
        self.places = Places(like, device)
        self.numbers = [torch.empty(count, dtype=torch.int64, device=device) for count in numbers]
        self.warm = 0
        self.again: Run | None = None
        self.addresses: tuple[int, ...] = ()


class RecordedSteps:
    """Takes steps of few shapes: the first ones of each shape operation by operation, then by a recording.

    Args:
        recorder: of the device.
        device: where the students are.
    """

    def __init__(self, recorder: Recorder, device: torch.device) -> None:
        self._recorder = recorder
        self._device = device
        self._shapes: OrderedDict[Hashable, _Shape] = OrderedDict()
        self._buffers: dict[str, Tensor] = {}

    @property
    def shapes(self) -> int:
        """Shapes whose steps are recorded, or will be."""
        return len(self._shapes)

    def take(
        self,
        key: Hashable,
        groups: Sequence[Group],
        numbers: Sequence[int],
        inputs: Inputs,
        run: Callable[[Inputs], Tensor],
    ) -> Tensor:
        """Take a step; its result, on the host.

        Args:
            key: all that decides which operations a step consists of, beside shapes and the addresses of weights.
            groups: whose weights and moments the step changes.
            numbers: how many random numbers the dropout of each group takes.
            inputs: of the step: tensors on a CPU, in dataclasses and tuples.
            run: the step, on inputs in their places.

        Raises:
            RuntimeError: the step cannot be recorded, and was not taken.
        """
        for group in groups:
            group.student_optimizer.become_recordable(self._device)
        self._keep_buffers(groups)
        tensors = tensors_of(inputs)
        shape = self._shape((key, *((name, tensor.shape) for name, tensor in tensors.items())), tensors, numbers)
        shape.places.fill(tensors)
        for group, ahead in zip(groups, shape.numbers, strict=True):
            group.dropout.draw_ahead(ahead)

        def step() -> Tensor:
            with _drawn_ahead(groups, shape.numbers):
                return run(map_tensors(inputs, lambda name, _: shape.places.tensors[name]))

        return self._recorder.read(self._run(shape, _addresses(groups), step))

    def _run(self, shape: _Shape, addresses: tuple[int, ...], step: Run) -> Tensor:
        if shape.addresses != addresses:
            # Moments are made in the first step, and some weights get new memory as classes appear.
            shape.addresses, shape.warm, shape.again = addresses, 0, None
        if shape.again is None and shape.warm < WARM_UP:
            shape.warm += 1
            return self._recorder.warm_up(step)
        if shape.again is None:
            shape.again = self._recorder.record(step)
        return shape.again()

    def _shape(self, key: Hashable, tensors: Mapping[str, Tensor], numbers: Sequence[int]) -> _Shape:
        if key not in self._shapes:
            self._shapes[key] = _Shape(tensors, numbers, self._device)
            if len(self._shapes) > MOST_RECORDED:
                self._shapes.popitem(last=False)
        self._shapes.move_to_end(key)
        return self._shapes[key]

    def _keep_buffers(self, groups: Sequence[Group]) -> None:
        """Have the buffers of students that were replaced in the memory that they had before."""
        for place, group in enumerate(groups):
            for number, student in enumerate(group.students):
                for name, buffer in list(student.named_buffers()):
                    kept = self._buffers.setdefault(f"{place}/{number}/{name}", buffer)
                    if kept is not buffer and kept.shape == buffer.shape:
                        kept.copy_(buffer)
                        owner, _, last = name.rpartition(".")
                        setattr(student.get_submodule(owner), last, kept)


@contextmanager
def _drawn_ahead(groups: Sequence[Group], numbers: Sequence[Tensor]) -> Iterator[None]:
    """Let the groups drop by numbers that were drawn ahead."""
    drawing = [group.dropout for group in groups]
    try:
        for group, ahead in zip(groups, numbers, strict=True):
            group.dropout = DrawnDropout(group.dropout, ahead)
        yield
    finally:
        for group, dropout in zip(groups, drawing, strict=True):
            group.dropout = dropout


def _addresses(groups: Sequence[Group]) -> tuple[int, ...]:
    """Where all that a step changes is in memory."""
    found = []
    for group in groups:
        for student in group.students:
            found += [tensor.data_ptr() for tensor in (*student.parameters(), *student.buffers())]
        moments = group.student_optimizer.state.values()
        found += [tensor.data_ptr() for of_one in moments for tensor in of_one.values()]
    return tuple(found)


def map_tensors(value: Value, visit: Callable[[str, Tensor], Tensor], name: str = "") -> Value:
    """The same dataclasses and tuples with other tensors, without what they have computed of the former ones.

    Args:
        value: a tensor, or dataclasses and tuples with tensors; whatever else is in them stays.
        visit: gives the new tensor for a name and an old one.
        name: of the value.
    """
    found: Any = value
    if isinstance(value, Tensor):
        found = visit(name, value)
    elif isinstance(value, StructureSteps):
        found = value.map(lambda part, block: map_tensors(block, visit, f"{name}.{part}"))
    elif isinstance(value, tuple):
        found = tuple(map_tensors(each, visit, f"{name}.{number}") for number, each in enumerate(value))
    elif is_dataclass(value) and not isinstance(value, type):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        parts = {part: map_tensors(each, visit, f"{name}.{part}") for part, each in named.items()}
        found = replace(value, **parts)
    return cast("Value", found)


def tensors_of(value: object) -> dict[str, Tensor]:
    """The tensors that :func:`map_tensors` visits, by name."""
    found: dict[str, Tensor] = {}

    def visit(name: str, tensor: Tensor) -> Tensor:
        found[name] = tensor
        return tensor

    map_tensors(value, visit)
    return found
