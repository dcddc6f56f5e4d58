"""The group and its training step: supervised, global and local knowledge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from olad_core.distill.adam import Adam
from olad_core.distill.discriminators import Discriminators, seen
from olad_core.distill.dropout import Dropout
from olad_core.distill.losses import (
    disagreement,
    disagreement_losses,
    discriminator_losses,
    global_losses,
    local_losses,
    supervised_losses,
)
from olad_core.distill.replay import Replay, Touched
from olad_core.distill.sample import Sample, sample
from olad_core.graph import DynamicGraph
from olad_core.students import Block, Inputs, Memory, Student, build_student, recurrent, stacks, student_names
from olad_core.students.sparse import Features, mean_squares
from olad_core.students.student import Drop
from olad_core.transfer import to_device

Rows = npt.NDArray[np.int64]

LEAST_SQUARE, MOST_SQUARE = 1e-12, 1e30
"""Between these the mean square of features is followed, so that neither it nor its inverse is infinite."""
OUTLYING = 100.0
"""A node's mean square counts for this many times the median of all that have features, at most."""
PATIENCE = 20
"""Steps in a row that a student may spoil before it begins anew."""


@dataclass(frozen=True)
class TrainerConfig:
    """How the group learns; the symbols are those of ``docs/method.md``.

    Attributes:
        students: architectures of the members.
        width: width of their embeddings.
        learning_rate: of Adam, for students and discriminators, in a step of the configured size; in others it goes
            with the root of the size (Malladi et al. 2022, "On the SDEs and Scaling Rules for Adaptive Gradient
            Algorithms").
        weight_decay: of the students.
        feature_decay: weight decay of what students make of features, the first map alone.
        global_weight: alpha; 0 turns the global knowledge off.
        local_weight: beta; 0 turns the local knowledge off.
        temperature: T of the global knowledge.
        min_confidence: the group teaches only where it is at least this sure.
        hidden_dropout: share of the entries of hidden rows that a step drops.
        feature_dropout: share of the features that a step drops.
        label_dropout: share of the known labels around the seeds that a step hides; those of the seeds are hidden
            always.
        warmup_steps: steps with the supervised loss alone.
        labelled: labelled nodes a step, half of them from the last ``recent_labels``; at most half of those there
            are, so that the labels of the others can be told.
        touched: further nodes that a step draws, for the knowledge that needs no labels, half of them from the last
            ``recent_touched`` that changed; those without a label are used.
        fanouts: sampled neighbours of a node, first layer first.
        discriminator_width: hidden width of the discriminators.
        max_gradient_norm: gradients of a student are scaled down to this norm.
        seed: of every random choice.
    """

    students: tuple[str, ...] = ("gcn", "sage", "gat", "evolvegcn")
    width: int = 64
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    feature_decay: float = 0.01
    global_weight: float = 1.0
    local_weight: float = 0.0
    temperature: float = 1.0
    min_confidence: float = 0.7
    hidden_dropout: float = 0.3
    feature_dropout: float = 0.1
    label_dropout: float = 0.5
    warmup_steps: int = 20
    labelled: int = 256
    touched: int = 256
    recent_labels: int = 1400
    recent_touched: int = 1400
    fanouts: tuple[int, ...] = (10, 10)
    discriminator_width: int = 16
    max_gradient_norm: float = 5.0
    seed: int = 0


class Trainer:
    """A group of students that trains at the same time and teaches itself.

    Args:
        config: how it learns.
        feature_width: number of features of a node; 0 without features.
        classes: number of classes known so far.
        device: where it computes.
        memory: of the students that remember; without one they begin with a new one.
    """

    def __init__(
        self,
        config: TrainerConfig,
        feature_width: int,
        classes: int,
        device: torch.device,
        memory: Memory | None = None,
    ) -> None:
        self.config = config
        self.memory = memory or Memory(recurrent(config.students), config.width, device)
        self.feature_width = feature_width
        self.device = device
        self.names = student_names(config.students)
        self.steps = 0
        self.skipped_steps = 0
        self.resets = 0
        """Times a student, or the discriminators, began anew because they spoilt one step after the other."""
        self.begun_anew: list[str] = []
        """Who did in the last step: names of students, or ``discriminators``."""
        self.random = np.random.default_rng([config.seed, 1])
        self.dropout = Dropout(config.hidden_dropout, config.feature_dropout, config.label_dropout, config.seed, device)
        # Steps in a row spoilt by each student, and last by the discriminators.
        self._spoilt = np.zeros(len(config.students) + 1, dtype=np.int64)
        self._capacity = head_capacity(classes)
        self.students: list[Student] = [
            build_student(architecture, feature_width, config.width, self._capacity, seed=1000 * config.seed + number)
            for number, architecture in enumerate(config.students)
        ]
        self._stacks = stacks(self.students)
        self.discriminators = self._new_discriminators()
        for module in (*self.students, self.discriminators):
            module.to(device)
        weights = [parameter for student in self.students for parameter in student.parameters()]
        decays = {student.encoder.weight: config.feature_decay for student in self.students}
        self.student_optimizer = Adam(weights, config.learning_rate, config.weight_decay, decays)
        self.discriminator_optimizer = Adam(self.discriminators.parameters(), config.learning_rate)

    def step(
        self,
        graph: DynamicGraph,
        replay: Replay,
        touched: Touched,
        teaching: npt.NDArray[np.float32],
        share: float = 1.0,
    ) -> dict[str, npt.NDArray[np.float32]]:
        """One bounded training step; returns each loss term ``[G]`` by its name.

        Without a labelled node there is no step, and no term. The students do not learn from a step whose losses
        or gradients are not finite; it counts among ``skipped_steps`` instead of ``steps``. Who spoils
        :data:`PATIENCE` steps in a row begins anew.

        Args:
            graph: the live graph.
            replay: labelled nodes.
            touched: nodes that changed lately.
            teaching: ``[G, G]``, how much student ``j`` teaches student ``i``.
            share: of the configured number of nodes that this step is about.
        """
        config = self.config
        self.begun_anew = []
        # The gradients of a smaller step are noisier by the root of its share.
        for optimizer in (self.student_optimizer, self.discriminator_optimizer):
            optimizer.set_learning_rate(config.learning_rate * math.sqrt(share))
        self._fit_classes(len(graph.classes))
        labelled = replay.draw(max(1, round(share * config.labelled)), graph, self.random)
        if not len(labelled):
            return {}
        sharing = self.steps >= config.warmup_steps and len(self.students) > 1 and bool(teaching.any())
        with_global = sharing and config.global_weight > 0
        with_local = sharing and config.local_weight > 0
        more = (
            touched.draw(round(share * config.touched), graph, self.random)
            if with_global or with_local
            else labelled[:0]
        )
        # Labelled seeds come first. The others have no label: that of a seed is hidden, and its neighbours need it.
        seeds = np.concatenate([labelled, more[graph.label[more] < 0]])
        drawn = sample(graph, seeds, config.fanouts, self.feature_width, self.random, self.device)
        self._observe_scale(drawn.inputs.x)

        encoded = self._encode(drawn)
        logits, embeddings = self._propagate(encoded, drawn.blocks, len(graph.classes), self.dropout.entries)
        labels = to_device(graph.label[labelled].astype(np.int64), self.device)
        terms = {"supervised": supervised_losses(logits[:, : len(labelled)], labels)}
        weights = to_device(teaching, self.device)
        if with_global:
            teachers = self.teachers(drawn, encoded, logits)
            terms["global"] = config.global_weight * global_losses(
                logits, teachers, weights, config.temperature, config.min_confidence
            )
        # Nodes to learn from again agree more than others do.
        fresh = slice(len(labelled) if len(seeds) > len(labelled) else 0, None)
        doubts = torch.stack(
            [student.doubt(rows[fresh]) for student, rows in zip(self.students, embeddings.detach(), strict=True)]
        )
        terms["disagreement"] = disagreement_losses(doubts, disagreement(logits[:, fresh].detach()))
        if with_local:
            told = seen(embeddings, drawn.among_seeds())
            terms["discriminator"] = self._discriminate(told.detach())
            fake = self.discriminators(told, next_in_cycle=True)
            terms["local"] = config.local_weight * weights.sum(dim=1) * local_losses(fake)
        total = sum((term.sum() for name, term in terms.items() if name != "discriminator"), torch.zeros(()))
        sound = self._descend(total) if torch.isfinite(total) else torch.isfinite(terms["supervised"].detach())
        if torch.isfinite(total) and bool(sound.all()):
            self.steps += 1
            self._spoilt[:] = 0
        else:
            self.skipped_steps += 1
            self._blame(~sound.cpu().numpy())
        return {name: term.detach().cpu().numpy() for name, term in terms.items()}

    def teachers(self, drawn: Sample, encoded: Sequence[Tensor], logits: Tensor) -> Tensor:
        """Logits ``[J, n, C]`` of those who may teach: the students, as they are when no hidden row is dropped.

        Args:
            drawn: the step's nodes with their neighbourhoods.
            encoded: layer 0 of the sample by each stack.
            logits: ``[G, n, C]``, of the students, some of whose hidden rows may have been dropped.
        """
        if not self.config.hidden_dropout:
            return logits.detach()
        with torch.no_grad():
            return self._propagate(encoded, drawn.blocks, logits.shape[2])[0]

    def advance(self, graph: DynamicGraph, rows: Rows) -> None:
        """One step of time for the students that have a memory.

        Args:
            graph: the live graph.
            rows: distinct; the nodes whose hidden states advance.
        """
        for name, student in zip(self.names, self.students, strict=True):
            student.advance()
            if student.remembers and len(rows):
                # Nodes must not remember labels, their own least of all: they could be learned by heart from there.
                drawn = sample(graph, rows, self.config.fanouts[:1], self.feature_width, self.random, self.device)
                [inputs] = self._inputs(drawn, [name])
                blind = replace(inputs, label=torch.full_like(inputs.label, -1))
                with torch.no_grad():
                    self.memory.remember(name, rows, student.remember(blind, drawn.blocks[0]))

    def probabilities(
        self, graph: DynamicGraph, rows: Rows, students: Mapping[str, Student], classes: int
    ) -> npt.NDArray[np.float32]:
        """What students say about distinct ``rows`` without being told the rows' own labels: ``[G, n, C]``.

        Args:
            graph: the live graph; neighbourhoods are sampled.
            rows: the nodes.
            students: by name.
            classes: C.
        """
        drawn = sample(graph, rows, self.config.fanouts, self.feature_width, self.random, self.device)
        told = zip(students.values(), self._inputs(drawn, students), strict=True)
        with torch.no_grad():
            logits = torch.stack(
                [student(inputs, drawn.blocks)[0][:, :classes] / student.temperature for student, inputs in told]
            )
        return logits.softmax(dim=2).cpu().numpy()

    @property
    def group(self) -> dict[str, Student]:
        """The students by name."""
        return dict(zip(self.names, self.students, strict=True))

    def num_classes(self, graph: DynamicGraph) -> int:
        """Classes the students' heads can speak of: those of the graph, but for any added since the last step."""
        return min(len(graph.classes), self._capacity)

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Tensors and plain values for a checkpoint."""
        tensors: dict[str, Tensor] = {}
        for number, student in enumerate(self.students):
            tensors |= {f"student/{number}/{name}": value for name, value in student.state_dict().items()}
        tensors |= {f"discriminators/{name}": value for name, value in self.discriminators.state_dict().items()}
        tensors |= {f"student_optimizer/{name}": value for name, value in self.student_optimizer.tensors().items()}
        moments = self.discriminator_optimizer.tensors()
        tensors |= {f"discriminator_optimizer/{name}": value for name, value in moments.items()}
        tensors["dropout"] = self.dropout.state()
        values = {
            "steps": self.steps,
            "skipped_steps": self.skipped_steps,
            "resets": self.resets,
            "spoilt": self._spoilt.tolist(),
            "capacity": self._capacity,
            "feature_width": self.feature_width,
            "random": self.random.bit_generator.state,
        }
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, values

    @classmethod
    def restore(
        cls,
        config: TrainerConfig,
        tensors: Mapping[str, Tensor],
        values: Mapping[str, object],
        device: torch.device,
        memory: Memory,
    ) -> Trainer:
        """The trainer whose :meth:`state` this was; the ``memory`` has a state of its own."""
        trainer = cls(config, int(str(values["feature_width"])), int(str(values["capacity"])), device, memory)
        for number, student in enumerate(trainer.students):
            student.load_state_dict(_below(tensors, f"student/{number}/"))
        trainer.discriminators.load_state_dict(_below(tensors, "discriminators/"))
        trainer.student_optimizer.restore(_below(tensors, "student_optimizer/"))
        trainer.discriminator_optimizer.restore(_below(tensors, "discriminator_optimizer/"))
        trainer.dropout.restore(tensors["dropout"])
        trainer.steps = int(str(values["steps"]))
        trainer.skipped_steps = int(str(values["skipped_steps"]))
        trainer.resets = int(str(values["resets"]))
        trainer._spoilt = np.array(values["spoilt"], dtype=np.int64)
        trainer.random.bit_generator.state = values["random"]  # type: ignore[assignment]
        return trainer

    def _encode(self, drawn: Sample) -> list[Tensor]:
        """Layer 0 of a sample for every stack, with some of its features and labels dropped."""
        told = replace(drawn, inputs=replace(drawn.inputs, label=self.dropout.labels(drawn.inputs.label)))
        inputs, factors = self._inputs(told, self.names), []
        for student in self.students:
            kept = self.dropout.columns(drawn.inputs.x.shape[1])
            factors.append(student.scale if kept is None else student.scale * kept)
        return [stack.encode(inputs[stack.place], factors[stack.place]) for stack in self._stacks]

    def _propagate(
        self, encoded: Sequence[Tensor], blocks: Sequence[Block], classes: int, drop: Drop | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits ``[G, n, classes]`` and embeddings ``[G, n, width]`` from layer 0 by each stack."""
        results = [stack.propagate(rows, blocks, drop) for stack, rows in zip(self._stacks, encoded, strict=True)]
        logits = torch.cat([logits[..., :classes].mT for logits, _ in results]).mT
        embeddings = torch.cat([rows.transpose(0, 1) for _, rows in results], dim=1).transpose(0, 1)
        return logits, embeddings

    def _inputs(self, drawn: Sample, names: Iterable[str]) -> list[Inputs]:
        """The inputs of a sample as each of these students gets them."""
        return [replace(drawn.inputs, memory=self.memory.recall(name, drawn.rows)) for name in names]

    def _discriminate(self, told: Tensor) -> Tensor:
        """One step of the discriminators; their losses ``[G]``."""
        real = self.discriminators(told, next_in_cycle=False)
        fake = self.discriminators(told, next_in_cycle=True)
        losses = discriminator_losses(real, fake)
        if torch.isfinite(losses).all():
            self.discriminator_optimizer.zero_grad()
            losses.sum().backward()  # type: ignore[no-untyped-call]
            self.discriminator_optimizer.step()
        return losses

    def _descend(self, total: Tensor) -> Tensor:
        """One step of the students, if the gradients of all are finite; bool ``[G]``, whose are."""
        self.student_optimizer.zero_grad()
        # What the discriminators would learn from being fooled is not wanted.
        total.backward(inputs=self.student_optimizer.parameters)  # type: ignore[no-untyped-call]
        limit = self.config.max_gradient_norm
        weights = [list(student.parameters()) for student in self.students]
        norms = torch.stack(
            [get_total_norm(weight.grad for weight in own if weight.grad is not None) for own in weights]
        )
        sound = torch.isfinite(norms)
        if sound.all():
            for number in torch.nonzero(norms > limit).flatten().tolist():
                clip_grads_with_norm_(weights[number], limit, norms[number])
            self.student_optimizer.step()
        return sound

    def _blame(self, spoilers: npt.NDArray[np.bool_]) -> None:
        """Count a spoilt step against the students that spoilt it; where none did, against the discriminators."""
        blamed = np.append(spoilers, not spoilers.any())
        self._spoilt = np.where(blamed, self._spoilt + 1, 0)
        for number in np.flatnonzero(self._spoilt >= PATIENCE):
            self._begin_anew(int(number))
            self._spoilt[number] = 0

    def _begin_anew(self, number: int) -> None:
        """Give a student, or last the discriminators, the weights of a new one; the features' scale stays."""
        config = self.config
        self.resets += 1
        self.begun_anew.append([*self.names, "discriminators"][number])
        if number == len(self.students):
            self.discriminators.load_state_dict(self._new_discriminators().state_dict())
            self.discriminator_optimizer.forget(self.discriminators)
            return
        student = self.students[number]
        seed = 1000 * config.seed + number + 1_000_003 * self.resets
        new = build_student(config.students[number], self.feature_width, config.width, self._capacity, seed=seed)
        if bool(torch.isfinite(student.mean_square).all()):
            new.mean_square.copy_(student.mean_square)
        student.load_state_dict(new.state_dict())
        self.student_optimizer.forget(student)

    def _new_discriminators(self) -> Discriminators:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * self.config.seed + 999 + 1_000_003 * self.resets)
            return Discriminators(len(self.students), self.config.width, self.config.discriminator_width)

    def _observe_scale(self, x: Features) -> None:
        """Follow the features' mean square, which brings features of any unit to the scale of the weights.

        Single nodes with enormous features must not shrink those of all others.
        """
        squares = mean_squares(x).clamp_max(MOST_SQUARE)
        usual = torch.where(squares > 0, squares, torch.nan).nanmedian()
        seen = torch.minimum(squares, OUTLYING * usual).mean()
        share = max(1 / (self.steps + 1), 0.01)
        for student in self.students:
            # While no node has features there is no scale to follow.
            followed = torch.where(seen > 0, seen.clamp_min(LEAST_SQUARE), student.mean_square)
            student.mean_square.lerp_(followed, share)

    def _fit_classes(self, classes: int) -> None:
        """Grow the heads when a class beyond their capacity appears; what was learned stays."""
        if classes <= self._capacity:
            return
        self._capacity = head_capacity(classes)
        for student in self.students:
            for old, new in student.grow(self._capacity):
                self.student_optimizer.exchange(old, new)


def head_capacity(classes: int) -> int:
    """Logits of a head for so many classes: some room, so that heads seldom grow.

    >>> [head_capacity(classes) for classes in (2, 8, 9, 100)]
    [8, 8, 16, 128]
    """
    return max(8, 1 << (classes - 1).bit_length())


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
