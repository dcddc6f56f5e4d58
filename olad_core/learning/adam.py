"""Adam over the parameters of several modules, whose moments are kept, grown and forgotten with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

_BETAS = (0.9, 0.999)
_EPS = 1e-8


class Adam:
    """Adam as one fused operation over all parameters of one decay.

    It calls torch's function. torch's class imports the compiler of torch, which takes as long as the rest of torch.

    Args:
        parameters: of all modules it moves.
        learning_rate: of all of them.
        weight_decay: added to the gradients, as a share of the weights.
        other_decays: of the parameters that have another one.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        other_decays: Mapping[nn.Parameter, float] | None = None,
    ) -> None:
        self.parameters = list(parameters)
        """What it moves, in the order of its state."""
        self.state: defaultdict[nn.Parameter, dict[str, Tensor]] = defaultdict(dict)
        """The moments of each parameter that was moved: ``step``, ``exp_avg`` and ``exp_avg_sq``."""
        self._by_decay: defaultdict[float, list[nn.Parameter]] = defaultdict(list)
        for parameter in self.parameters:
            self._by_decay[(other_decays or {}).get(parameter, weight_decay)].append(parameter)
        self._learning_rate = learning_rate
        self._rate_there: Tensor | None = None

    def set_learning_rate(self, learning_rate: float) -> None:
        """The learning rate of the steps to come."""
        if self._rate_there is not None and learning_rate != self._learning_rate:
            self._rate_there.fill_(learning_rate)
        self._learning_rate = learning_rate

    def become_recordable(self, device: torch.device) -> None:
        """Read the learning rate from the memory of a device in every step, so that recorded steps follow it."""
        if self._rate_there is None:
            self._rate_there = torch.full((), self._learning_rate, device=device)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, spoilt: Tensor | None = None) -> None:
        """Move the parameters that have a gradient.

        Args:
            spoilt: a single float32: where it is 1, nothing changes. It is not read back.
        """
        with torch.no_grad():
            for decay, alike in self._by_decay.items():
                self._move([parameter for parameter in alike if parameter.grad is not None], decay, spoilt)

    def _move(self, moved: list[nn.Parameter], decay: float, spoilt: Tensor | None) -> None:
        for parameter in moved:
            if not self.state.get(parameter):
                self.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                }
        moments = [self.state[parameter] for parameter in moved]
        adam(
            list(moved),
            [parameter.grad for parameter in moved if parameter.grad is not None],
            [each["exp_avg"] for each in moments],
            [each["exp_avg_sq"] for each in moments],
            [],
            [each["step"] for each in moments],
            fused=True,
            found_inf=spoilt,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=self._learning_rate if self._rate_there is None else self._rate_there,
            weight_decay=decay,
            eps=_EPS,
            maximize=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The moments by number of the parameter and name: those in use, not copies of them."""
        return {
            f"{number}/{name}": value
            for number, parameter in enumerate(self.parameters)
            for name, value in self.state.get(parameter, {}).items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over :meth:`tensors`.

        Raises:
            ValueError: what is remembered of a parameter is not all there, or does not fit it.
        """
        for name, value in tensors.items():
            number, field = name.split("/")
            parameter = self.parameters[int(number)]
            if value.dtype != torch.float32 or value.shape != (() if field == "step" else parameter.shape):
                raise ValueError(f"optimizer/{name}: {value.dtype} {list(value.shape)}")
            self.state[parameter][field] = value.clone().to(parameter.device)
        for moved, moments in self.state.items():
            if moments.keys() != {"step", "exp_avg", "exp_avg_sq"}:
                raise ValueError(f"optimizer: of a parameter of shape {list(moved.shape)} only {sorted(moments)}")

    def forget(self, module: nn.Module) -> None:
        """The module's parameters have no past any more."""
        for parameter in module.parameters():
            self.state.pop(parameter, None)

    def exchange(self, old: nn.Parameter, new: nn.Parameter) -> None:
        """Let a parameter with more rows take another's place; the moments of the rows that it had stay."""
        for parameters in (self.parameters, *self._by_decay.values()):
            for place, parameter in enumerate(parameters):
                if parameter is old:
                    parameters[place] = new
        state = self.state.pop(old, None)
        if state is not None:
            moments = {name: _padded(state[name], new.shape[0]) for name in ("exp_avg", "exp_avg_sq")}
            self.state[new] = {"step": state["step"], **moments}


def _padded(tensor: Tensor, rows: int) -> Tensor:
    return torch.cat([tensor, tensor.new_zeros(rows - tensor.shape[0], *tensor.shape[1:])])
