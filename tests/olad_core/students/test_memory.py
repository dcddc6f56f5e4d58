"""Hidden states of nodes."""

import numpy as np
import torch

from olad_core.students import Memory

CPU = torch.device("cpu")


def test_begins_with_zeros() -> None:
    memory = Memory(["tgcn"], 2, CPU)
    recalled = memory.recall("tgcn", np.array([5, 0]))
    assert recalled is not None
    assert torch.equal(recalled, torch.zeros(2, 2))


def test_says_nothing_of_students_that_do_not_remember() -> None:
    assert Memory(["tgcn"], 2, CPU).recall("gcn", np.array([0])) is None


def test_recalls_what_was_remembered_of_each_student() -> None:
    memory = Memory(["tgcn", "tgcn-2"], 2, CPU)
    memory.remember("tgcn", np.array([3, 1]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    recalled, other = (memory.recall(name, np.array([1, 2, 3])) for name in ("tgcn", "tgcn-2"))
    assert recalled is not None
    assert other is not None
    assert recalled.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert not other.any()


def test_forgets_and_goes_on_from_its_state() -> None:
    memory = Memory(["tgcn"], 1, CPU)
    memory.remember("tgcn", np.arange(4), torch.arange(1.0, 5.0).unsqueeze(1))
    memory.forget(np.array([2, 90]))
    other = Memory(["tgcn"], 1, CPU)
    other.restore(memory.state())
    memory.forget(np.arange(4))
    recalled = other.recall("tgcn", np.arange(5))
    assert recalled is not None
    assert recalled.flatten().tolist() == [1, 2, 0, 4, 0]


def test_what_is_not_finite_does_not_take_the_place_of_what_is() -> None:
    memory = Memory(["tgcn"], 2, CPU)
    memory.remember("tgcn", np.array([0]), torch.tensor([[1.0, 2.0]]))
    memory.remember("tgcn", np.array([0, 1]), torch.tensor([[1.0, torch.inf], [3.0, 4.0]]))
    recalled = memory.recall("tgcn", np.arange(2))
    assert recalled is not None
    assert recalled.tolist() == [[1, 2], [3, 4]]
