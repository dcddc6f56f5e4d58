"""The group: its students, discriminators and optimizers, and what each computes on a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from olad_core.config import TrainerConfig
from olad_core.graph import DynamicGraph
from olad_core.learning.adam import Adam
from olad_core.learning.discriminators import Discriminators
from olad_core.learning.dropout import Dropout
from olad_core.learning.shared_weights import share_moments, share_weights
from olad_core.learning.spread import ALONE, Division, NotSpread, Spread
from olad_core.messages.sample import Sample, sample
from olad_core.messages.sparse_features import Features, SparseRows, mean_squares
from olad_core.named_state import take_part
from olad_core.parts import Parts
from olad_core.students import Block, Inputs, InputShape, Memory, Stack, Student, recurrent, stacks, student_names
from olad_core.students.student import Drop
from olad_core.tasks import node_class

Rows = npt.NDArray[np.int64]

LEAST_SQUARE, MOST_SQUARE = 1e-12, 1e30
"""Between these the mean square of features is followed, so that neither it nor its inverse is infinite."""
OUTLYING = 100.0
"""A node's mean square counts for this many times the median of all that have features, at most."""
_SEED_STRIDE = 1_000_003
"""Between the seeds of weights drawn one reset after the other."""


class Group:
    """Students that train at the same time, with what trains them.

    Args:
        config: how they learn.
        shape: sizes of what the students read.
        classes: number of classes known so far.
        device: where they compute.
        memory: of the students that remember; without one they begin with a new one.
        spread: over which ranks; each has the same graph and random numbers, and trains some of the students.

    Raises:
        NotSpread: there are students that remember, or too few students, for several ranks.
        ValueError: a student has another number of layers than ``fanouts`` has numbers.
    """

    def __init__(
        self,
        config: TrainerConfig,
        shape: InputShape,
        classes: int,
        device: torch.device,
        memory: Memory | None = None,
        spread: Spread = ALONE,
    ) -> None:
        self.config = config
        self.memory = memory or Memory(recurrent(config.students), config.width, device)
        self.shape = shape
        self.device = device
        self.names = student_names(config.students)
        self.random = np.random.default_rng([config.seed, 1])
        self.dropout = Dropout(config.hidden_dropout, config.feature_dropout, config.label_dropout, config.seed, device)
        self._capacity = node_class.class_capacity(classes)
        self.students = [self._built(place, 1000 * config.seed + place) for place in range(len(config.students))]
        _require_depth(self.students, config.fanouts)
        self._stacks = stacks(self.students)
        self.division = self._divided(spread)
        """Who trains which students."""
        self.discriminators = self._new_discriminators(resets=0)
        for module in (*self.students, self.discriminators):
            module.to(device)
        # The parameters of structure come last: checkpoints of before them number the others so.
        structure = [student.encoder.structure for student in self.students]
        weights = [
            weight
            for student in self.students
            for weight in student.parameters()
            if weight is not student.encoder.structure
        ]
        decays = {student.encoder.weight: config.feature_decay for student in self.students}
        self.student_optimizer = Adam([*weights, *structure], config.learning_rate, config.weight_decay, decays)
        self.discriminator_optimizer = Adam(self.discriminators.parameters(), config.learning_rate)

    def spread_over(self, spread: Spread) -> None:
        """Train the students over other ranks from now on. All of them have the same group.

        Raises:
            NotSpread: as where a group is made.
        """
        self.division = self._divided(spread)

    def _divided(self, spread: Spread) -> Division:
        if spread.ranks > 1 and (remembering := recurrent(self.config.students)):
            raise NotSpread(f"{', '.join(remembering)}: students with hidden states are trained by one rank only")
        return Division(spread, [len(stack.students) for stack in self._stacks])

    @property
    def by_name(self) -> dict[str, Student]:
        """The students by name."""
        return dict(zip(self.names, self.students, strict=True))

    @property
    def own_students(self) -> list[Student]:
        """The students of this rank."""
        return self.students[self.division.own]

    @property
    def capacity(self) -> int:
        """Classes that the students' heads have logits for."""
        return self._capacity

    def num_classes(self, graph: DynamicGraph) -> int:
        """Classes that the students' heads can name: those of the graph, but for any added since the last step."""
        return min(len(graph.classes), self._capacity)

    def fit_classes(self, classes: int) -> None:
        """Grow the heads when a class beyond their capacity appears; what was learned stays."""
        if classes <= self._capacity:
            return
        self._capacity = node_class.class_capacity(classes)
        for student in self.students:
            for old, new in student.grow(self._capacity):
                self.student_optimizer.exchange(old, new)

    def set_learning_rate(self, learning_rate: float) -> None:
        """The learning rate of the steps to come."""
        for optimizer in (self.student_optimizer, self.discriminator_optimizer):
            optimizer.set_learning_rate(learning_rate)

    def follow_scale(self, x: Features, steps: int) -> None:
        """Follow the features' mean square, which brings features of any unit to the scale of the weights.

        Single nodes with enormous features must not shrink those of all others.

        Args:
            x: features of a step's nodes.
            steps: taken before.
        """
        self.follow_squares(self.squares(x), steps)

    def squares(self, x: Features) -> list[Tensor]:
        """Mean squares of nodes' features: of all nodes; where nodes have types, of those of each type."""
        if not self.shape.type_widths:
            return [mean_squares(x)]
        assert isinstance(x, SparseRows), "features of several types are entries"
        first, found = 0, []
        for width in self.shape.type_widths:
            found.append(x.mean_squares_of(first, width))
            first += 1 + width
        return found

    def follow_squares(self, squares: Sequence[Tensor], steps: int) -> None:
        """Follow mean squares (:meth:`squares`), as :meth:`follow_scale` does those of a step's nodes."""
        share = scale_share(steps)
        for number, each in enumerate(squares):
            if len(each):
                self._follow_usual(number, usual_square(each), share)

    def follow_usual(self, usual: Tensor, share: Tensor) -> None:
        """Follow the usual mean squares ``[T]`` of a step's nodes (:func:`usual_square`), by a share of the way."""
        for number, seen in enumerate(usual):
            self._follow_usual(number, seen, share)

    def _follow_usual(self, number: int, seen: Tensor, share: float | Tensor) -> None:
        for student in self.students:
            followed = student.mean_square[number] if self.shape.type_widths else student.mean_square
            _follow(followed, seen, share)

    def encode(self, drawn: Sample) -> Parts[list[Tensor]]:
        """Layer 0 of a sample for every stack of this rank, some features and labels dropped; one part a stack.

        The memory is read in the first part, before the first pause.
        """
        dropped = replace(drawn, inputs=replace(drawn.inputs, label=self.dropout.labels(drawn.inputs.label)))
        inputs, factors, encoded = self.inputs(dropped, self.names), [], []
        for student in self.students:
            kept = self.dropout.columns(drawn.inputs.x.shape[1])
            factors.append(student.scale if kept is None else student.scale * kept)
        for stack in self._own_stacks:
            yield
            encoded.append(stack.encode(inputs[stack.place], factors[stack.place]))
        return encoded

    def embed(
        self, encoded: Sequence[Tensor], blocks: Sequence[Block], drop: Drop | None = None
    ) -> Parts[list[Tensor]]:
        """Embeddings ``[g, n, width]`` by each stack of this rank from its layer 0; one part a stack.

        Args:
            encoded: layer 0 by each of these stacks.
            blocks: one for each layer.
            drop: :attr:`dropout`'s, applied to each layer's input; None without.
        """
        embedded, remaining = [], iter(encoded)
        for number, stack in enumerate(self._stacks):
            if self.division.is_own(number):
                yield
                embedded.append(stack.embed(next(remaining), blocks, drop))
            elif drop:
                for shape in stack.shapes(blocks):
                    self.dropout.pass_over(shape)
        return embedded

    def numbers_to_drop(self, drawn: Sample) -> int:
        """How many random numbers the dropout of one pass over a sample takes, all students being of this rank."""
        shapes = [shape for stack in self._stacks for shape in stack.shapes(drawn.blocks)]
        widths = [drawn.inputs.x.shape[1]] * len(self.students)
        return self.dropout.numbers_of(len(drawn.inputs.label), widths, shapes)

    def classify(self, embedded: Sequence[Tensor], classes: int) -> Tensor:
        """Logits ``[g, n, classes]`` from the embeddings by each stack of this rank."""
        logits = [stack.classify(rows) for stack, rows in zip(self._own_stacks, embedded, strict=True)]
        return torch.cat([each[..., :classes].mT for each in logits]).mT

    def inputs(self, drawn: Sample, names: Iterable[str]) -> list[Inputs]:
        """The inputs of a sample as each of these students gets them."""
        return [replace(drawn.inputs, memory=self.memory.recall(name, drawn.rows)) for name in names]

    def present(self, graph: DynamicGraph, rows: Rows, beside: Mapping[str, Student]) -> Parts[npt.NDArray[np.float32]]:
        """Class probabilities ``[G + B, n, C]`` by the students as they are now, each computed by its rank.

        Arguments and parts as :meth:`probabilities` has them.

        Args:
            graph: the live graph.
            rows: the nodes.
            beside: B further students, by name, that all ranks compute.
        """
        here = dict(zip(self.names[self.division.own], self.own_students, strict=True)) | dict(beside)
        found = yield from self.probabilities(graph, rows, here, self.num_classes(graph))
        if self.division.alone:
            return found
        own = len(self.own_students)
        [joined] = self.division.join("predictions", [torch.from_numpy(found[:own])])
        return np.concatenate([joined.numpy(), found[own:]])

    def share_weights(self) -> None:
        """Have the present weights of all students at all ranks."""
        if not self.division.alone:
            share_weights(self.students, self.division)

    def probabilities(
        self, graph: DynamicGraph, rows: Rows, students: Mapping[str, Student], classes: int
    ) -> Parts[npt.NDArray[np.float32]]:
        """Class probabilities ``[G, n, C]`` of distinct ``rows``, the labels of these rows being hidden.

        One part a student. The graph is read before the first pause.

        Args:
            graph: the live graph; neighbourhoods are sampled.
            rows: the nodes.
            students: by name; all of one feature width.
            classes: C.
        """
        # What is served may be of a time when the graph had features of no or of another width.
        width = next(iter(students.values())).feature_width
        drawn = sample(graph, rows, self.config.fanouts, width, self.random, self.device)
        return (yield from self.probabilities_on(drawn, students, classes))

    def probabilities_on(
        self, drawn: Sample, students: Mapping[str, Student], classes: int
    ) -> Parts[npt.NDArray[np.float32]]:
        """Class probabilities ``[G, n, C]`` of the seeds of a sample; one part a student. Arguments as above."""
        answers = []
        for student, inputs in zip(students.values(), self.inputs(drawn, students), strict=True):
            yield
            with torch.no_grad():
                logits, _ = student(inputs, drawn.blocks)
                answers.append(node_class.probabilities(logits[:, :classes], student.temperature))
        return torch.stack(answers).cpu().numpy()

    def advance(self, graph: DynamicGraph, rows: Rows) -> None:
        """One step of time for the students that have a memory.

        Args:
            graph: the live graph.
            rows: distinct; the nodes whose hidden states advance.
        """
        for name, student in self.by_name.items():
            student.advance()
            self.remember(graph, rows, name, student)

    def remember(self, graph: DynamicGraph, rows: Rows, name: str, student: Student) -> None:
        """One step of time for the hidden states of a student that remembers; others have none.

        Args:
            graph: the live graph.
            rows: distinct; the nodes whose hidden states advance.
            name: under which the memory holds them.
            student: of this group or of a former one.
        """
        if not student.remembers or not len(rows):
            return
        # A hidden state must not hold labels, a node's own least of all: it would be an input to learning it.
        drawn = sample(graph, rows, self.config.fanouts[:1], student.feature_width, self.random, self.device)
        [inputs] = self.inputs(drawn, [name])
        unlabelled = replace(inputs, label=torch.full_like(inputs.label, -1))
        with torch.no_grad():
            self.memory.remember(name, rows, student.remember(unlabelled, drawn.blocks[0]))

    def renew(self, place: int, resets: int) -> str:
        """Give a student, or after the last one the discriminators, new weights; the scale of features stays.

        Args:
            place: in the group; G stands for the discriminators.
            resets: how many times this has happened, this time included: part of the seed.

        Returns:
            The name of the student, or ``discriminators``.
        """
        config = self.config
        if place == len(self.students):
            self.discriminators.load_state_dict(self._new_discriminators(resets).state_dict())
            self.discriminator_optimizer.forget(self.discriminators)
            return "discriminators"
        student = self.students[place]
        new = self._built(place, 1000 * config.seed + place + _SEED_STRIDE * resets)
        if bool(torch.isfinite(student.mean_square).all()):
            new.mean_square.copy_(student.mean_square)
        student.load_state_dict(new.state_dict())
        self.student_optimizer.forget(student)
        return self.names[place]

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Tensors and plain values for a checkpoint, the same at all ranks: they have to ask for it together."""
        if not self.division.alone:
            self.share_weights()
            share_moments(self.students, self.student_optimizer, self.division)
        tensors: dict[str, Tensor] = {}
        for number, student in enumerate(self.students):
            tensors |= {f"student/{number}/{name}": value for name, value in student.state_dict().items()}
        tensors |= {f"discriminators/{name}": value for name, value in self.discriminators.state_dict().items()}
        tensors |= {f"student_optimizer/{name}": value for name, value in self.student_optimizer.tensors().items()}
        moments = self.discriminator_optimizer.tensors()
        tensors |= {f"discriminator_optimizer/{name}": value for name, value in moments.items()}
        tensors["dropout"] = self.dropout.state()
        values = {
            "capacity": self._capacity,
            "random": self.random.bit_generator.state,
            **self.shape.values(),
        }
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, values

    @classmethod
    def restore(
        cls,
        config: TrainerConfig,
        tensors: Mapping[str, Tensor],
        values: Mapping[str, Any],
        device: torch.device,
        memory: Memory,
        spread: Spread = ALONE,
    ) -> Group:
        """The group whose :meth:`state` this was, of any number of ranks; ``memory`` has a state of its own."""
        group = cls(config, InputShape.read(values), int(values["capacity"]), device, memory, spread)
        for number, student in enumerate(group.students):
            student.load_state_dict(take_part(tensors, f"student/{number}"))
            student.encoder.read_structure(config.structure)
        group.discriminators.load_state_dict(take_part(tensors, "discriminators"))
        group.student_optimizer.restore(take_part(tensors, "student_optimizer"))
        group.discriminator_optimizer.restore(take_part(tensors, "discriminator_optimizer"))
        group.dropout.restore(tensors["dropout"])
        group.random.bit_generator.state = values["random"]
        return group

    @property
    def _own_stacks(self) -> list[Stack]:
        return [stack for number, stack in enumerate(self._stacks) if self.division.is_own(number)]

    def _built(self, place: int, seed: int) -> Student:
        """A new student for a place in the group."""
        config = self.config
        student = self.shape.build(config.students[place], config.width, self._capacity, seed)
        student.encoder.read_structure(config.structure)
        return student

    def _new_discriminators(self, resets: int) -> Discriminators:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * self.config.seed + 999 + _SEED_STRIDE * resets)
            return Discriminators(len(self.students), self.config.width, self.config.discriminator_width)


def scale_share(steps: int) -> float:
    """How much of the way the mean square of the features goes in a step after so many."""
    return max(1 / (steps + 1), 0.01)


def usual_square(squares: Tensor) -> Tensor:
    """The mean square of nodes with these, without outliers; not above zero where none has features."""
    squares = squares.clamp_max(MOST_SQUARE)
    usual = torch.where(squares > 0, squares, torch.nan).nanmedian()
    return torch.minimum(squares, OUTLYING * usual).mean()


def _follow(mean_square: Tensor, seen: Tensor, share: float | Tensor) -> None:
    """Bring a mean square nearer to the seen one, where any node has features."""
    mean_square.lerp_(torch.where(seen > 0, seen.clamp_min(LEAST_SQUARE), mean_square), share)


def _require_depth(students: Sequence[Student], fanouts: Sequence[int]) -> None:
    """Refuse students that would train with another number of layers than they are served with."""
    for student in students:
        if student.num_layers != len(fanouts):
            raise ValueError(
                f"{student.architecture} has {student.num_layers} layers, but fanouts has {len(fanouts)} numbers: "
                "give one for each layer"
            )
