from __future__ import annotations

import torch
from torch import Tensor, nn

from olad_core.learning.adam import Adam


def learner() -> tuple[nn.Linear, Adam]:
    module = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
    return module, Adam(module.parameters(), learning_rate=0.1, weight_decay=0.01)


def descend(module: nn.Module, optimizer: Adam, steps: int) -> list[Tensor]:
    for _ in range(steps):
        optimizer.zero_grad()
        sum(parameter.square().sum() for parameter in module.parameters()).backward()  # type: ignore[union-attr]
        optimizer.step()
    return [parameter.detach().clone() for parameter in module.parameters()]


def test_is_the_adam_of_torch() -> None:
    module, optimizer = learner()
    other, _ = learner()
    plain = torch.optim.Adam(other.parameters(), lr=0.1, weight_decay=0.01, foreach=False)
    torch.testing.assert_close(descend(module, optimizer, 5), descend(other, plain, 5))  # type: ignore[arg-type]


def test_parameters_of_another_decay_are_moved_as_by_an_adam_of_their_own() -> None:
    module, _ = learner()
    alike, _ = learner()
    optimizer = Adam(module.parameters(), 0.1, 0.01, {next(module.parameters()): 0.5})
    weight, bias = alike.parameters()
    groups = [{"params": [weight], "weight_decay": 0.5}, {"params": [bias], "weight_decay": 0.01}]
    plain = torch.optim.Adam(groups, lr=0.1, foreach=False)
    torch.testing.assert_close(descend(module, optimizer, 5), descend(alike, plain, 5))  # type: ignore[arg-type]


def test_goes_on_in_the_same_bytes() -> None:
    module, optimizer = learner()
    descend(module, optimizer, 3)
    moments = {name: value.clone() for name, value in optimizer.tensors().items()}
    assert set(moments) == {f"{number}/{name}" for number in (0, 1) for name in ("step", "exp_avg", "exp_avg_sq")}
    other, restored = learner()
    other.load_state_dict(module.state_dict())
    restored.restore(moments)
    pairs = zip(descend(module, optimizer, 3), descend(other, restored, 3), strict=True)
    assert all(torch.equal(one, another) for one, another in pairs)


def test_forgets_the_past_of_one_module_alone() -> None:
    module, other = nn.Linear(2, 2), nn.Linear(2, 2)
    both = nn.ModuleList([module, other])
    optimizer = Adam(both.parameters(), learning_rate=0.1)
    descend(both, optimizer, 1)
    optimizer.forget(module)
    assert {name.split("/")[0] for name in optimizer.tensors()} == {"2", "3"}


def test_a_parameter_with_more_rows_keeps_the_moments_of_those_it_had() -> None:
    module, _ = learner()
    optimizer = Adam(module.parameters(), 0.1, 0.01, {next(module.parameters()): 0.5})
    descend(module, optimizer, 2)
    before = {name: value.clone() for name, value in optimizer.tensors().items()}
    old, _ = module.parameters()
    grown = nn.Parameter(torch.cat([old.detach(), torch.ones(1, 3)]))
    module.weight = grown
    optimizer.exchange(old, grown)
    after = optimizer.tensors()
    assert torch.equal(after["0/exp_avg"][:2], before["0/exp_avg"])
    assert not after["0/exp_avg"][2].any()
    assert torch.equal(after["0/step"], before["0/step"])
    descend(module, optimizer, 1)
    assert (grown[2] < 1).all()
