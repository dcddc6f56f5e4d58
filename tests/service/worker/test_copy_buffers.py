from __future__ import annotations

import torch

from service.worker.copy_buffers import Room


def test_a_copy_does_not_follow_what_it_was_taken_of() -> None:
    room = Room()
    state = {"table": torch.arange(6.0).view(2, 3), "number": torch.tensor(7), "nothing": torch.zeros(0, 4)}
    copy = room.copy(state)
    expected = {name: tensor.clone() for name, tensor in state.items()}
    state["table"] += 1
    state["number"] += 1
    assert all(torch.equal(copy[name], expected[name]) for name in state)
    assert all(copy[name].shape == state[name].shape for name in state)


def test_memory_is_taken_once_and_with_some_to_spare() -> None:
    room = Room()
    state = {"table": torch.zeros(100, 8)}
    assert not room.holds(state)
    room.make(state)
    assert room.holds(state)
    place = room.copy(state)["table"].data_ptr()
    assert room.holds({"table": torch.zeros(110, 8)})
    assert room.copy({"table": torch.ones(110, 8)})["table"].data_ptr() == place
    assert not room.holds({"table": torch.zeros(200, 8)})
    assert not room.holds({"table": torch.zeros(100, 8, dtype=torch.float64)})
    assert not room.holds({"other": torch.zeros(1)})


def test_what_outgrows_its_room_is_copied_all_the_same() -> None:
    room = Room()
    room.make({"table": torch.zeros(2)})
    assert room.copy({"table": torch.arange(50)})["table"].tolist() == list(range(50))


def test_memory_of_a_state_that_has_shrunk_is_given_back() -> None:
    room = Room()
    room.make({"table": torch.zeros(2_000_000)})
    small = {"table": torch.ones(10)}
    assert not room.holds(small)
    copy = room.copy(small)["table"]
    assert copy.tolist() == [1.0] * 10
    assert copy.untyped_storage().nbytes() < 1000
    assert room.holds(small)
