"""Checks of the class and of what its constructor makes."""

from __future__ import annotations

import inspect

from torch import Tensor, nn

from olad_core.students.check.case import CLASSES, FEATURES, WIDTH, Case, adjacency, block_of, inputs, layers, require
from olad_core.students.encoder import Encoder
from olad_core.students.student import Student
from olad_core.tasks import node_class


def is_a_student(case: Case) -> None:
    """The class is a concrete subclass of Student, and declares what it must."""
    kind = case.architecture
    require(isinstance(kind, type) and issubclass(kind, Student), f"{kind!r} is not a subclass of Student")
    missing = ", ".join(sorted(getattr(kind, "__abstractmethods__", ())))
    require(not inspect.isabstract(kind), f"{kind.__qualname__} does not define {missing}")
    for name, wanted in (("architecture", str), ("uses_degree", bool), ("num_layers", int), ("remembers", bool)):
        value = getattr(kind, name, None)
        require(type(value) is wanted, f"{name} must be a class variable of type {wanted.__name__}, and is {value!r}")
    require(bool(kind.architecture), "architecture must not be empty")
    require(kind.num_layers >= 1, f"num_layers must be at least 1, and is {kind.num_layers}")


def is_built(case: Case) -> None:
    """The constructor takes (feature_width, width, class_capacity) and makes an encoder, a head and two buffers."""
    for feature_width, width in ((FEATURES, WIDTH), (0, WIDTH), (FEATURES, 12)):
        made = f"{case.architecture.__qualname__}({feature_width}, {width}, {CLASSES})"
        student = case.build(feature_width, width)
        encoder, head = student.encoder, student.head
        require(isinstance(encoder, Encoder), f"{made}: encoder must be an Encoder, and is {type(encoder).__name__}")
        require(isinstance(head, nn.Linear), f"{made}: head must be a torch.nn.Linear, and is {type(head).__name__}")
        for name, weight, shape in (
            ("head.weight", head.weight, (node_class.head_width(CLASSES), width)),
            ("head.bias", head.bias, (node_class.head_width(CLASSES),)),
            ("encoder.weight", encoder.weight[:, :0], (max(feature_width, 1), 0)),
            ("encoder.labels", encoder.labels[:, :0], (CLASSES, 0)),
        ):
            require(weight.shape == shape, f"{made}: the shape of {name} does not fit: {list(weight.shape)}")
        for name in ("mean_square", "temperature"):
            require(isinstance(student.get_buffer(name), Tensor), f"{made}: {name} must be a buffer")
        require(
            (student.feature_width, student.width) == (feature_width, width),
            f"{made}: feature_width and width are {student.feature_width} and {student.width}",
        )


def shapes_are_declared(case: Case) -> None:
    """Rows of every layer have the widths of layer_widths, embeddings have width, logits one column a class."""
    student = case.build()
    widths, count = student.layer_widths, student.num_layers
    require(len(widths) == count + 1, f"layer_widths must hold {count + 1} widths (num_layers is {count}): {widths}")
    require(widths[-1] == WIDTH, f"the last of layer_widths must be the width {WIDTH}: {widths}")
    block = block_of(adjacency())
    rows = layers(student, inputs(), block)
    for number, (found, width) in enumerate(zip(rows, widths, strict=True)):
        where = "encode" if number == 0 else f"layer {number}"
        shape = (block.num_targets, width)
        require(found.shape == shape, f"{where} must give rows {list(shape)}, and gives {list(found.shape)}")
    logits, shape = student.classify(rows[-1]), (block.num_targets, CLASSES)
    require(logits.shape == shape, f"classify must give logits {list(shape)}, and gives {list(logits.shape)}")
