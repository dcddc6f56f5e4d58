from __future__ import annotations

import torch

from service.worker.copy_buffers import CopyBuffers


def test_a_copy_does_not_follow_what_it_was_taken_of() -> None:
    buffers = CopyBuffers()
    state = {"table": torch.arange(6.0).view(2, 3), "number": torch.tensor(7), "nothing": torch.zeros(0, 4)}
    copy = buffers.copy(state)
    expected = {name: tensor.clone() for name, tensor in state.items()}
    state["table"] += 1
    state["number"] += 1
    assert all(torch.equal(copy[name], expected[name]) for name in state)
    assert all(copy[name].shape == state[name].shape for name in state)


def test_memory_is_taken_once_and_with_some_to_spare() -> None:
    buffers = CopyBuffers()
    state = {"table": torch.zeros(100, 8)}
    assert not buffers.holds(state)
    buffers.make(state)
    assert buffers.holds(state)
    place = buffers.copy(state)["table"].data_ptr()
    assert buffers.holds({"table": torch.zeros(110, 8)})
    assert buffers.copy({"table": torch.ones(110, 8)})["table"].data_ptr() == place
    assert not buffers.holds({"table": torch.zeros(200, 8)})
    assert not buffers.holds({"table": torch.zeros(100, 8, dtype=torch.float64)})
    assert not buffers.holds({"other": torch.zeros(1)})


def test_what_outgrows_its_room_is_copied_all_the_same() -> None:
    buffers = CopyBuffers()
    buffers.make({"table": torch.zeros(2)})
    assert buffers.copy({"table": torch.arange(50)})["table"].tolist() == list(range(50))


def test_memory_of_a_state_that_has_shrunk_is_given_back() -> None:
    buffers = CopyBuffers()
    buffers.make({"table": torch.zeros(2_000_000)})
    small = {"table": torch.ones(10)}
    assert not buffers.holds(small)
    copy = buffers.copy(small)["table"]
    assert copy.tolist() == [1.0] * 10
    assert copy.untyped_storage().nbytes() < 1000
    assert buffers.holds(small)
