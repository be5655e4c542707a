"""Adam for K assets at once: every slot has its own step count, rates and right to move.

Dimension key:  K slots
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamfoundry.nerf.kernels.availability import has_kernels


class SlotAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) over stacked parameters [K, ...], updated in place.

    Equals one `torch.optim.Adam` per slot. `num_steps` [K] counts the steps of each slot.
    """

    def __init__(self, parameters: Mapping[str, Tensor], betas: tuple[float, float], eps: float) -> None:
        self._parameters = dict(parameters)
        self._betas = betas
        self._eps = eps
        self._means = {name: torch.zeros_like(tensor.detach()) for name, tensor in parameters.items()}
        self._squares = {name: torch.zeros_like(tensor.detach()) for name, tensor in parameters.items()}
        first = next(iter(self._parameters.values()))
        self.num_steps = torch.zeros(first.shape[0], dtype=torch.int64, device=first.device)

    def step(
        self,
        gradients: Mapping[str, Tensor],
        shares: Float[Tensor, " K"],
        rates: Mapping[str, Float[Tensor, " K"]],
        live: Bool[Tensor, " K"],
    ) -> None:
        """Move the `live` slots one step at their rate for each parameter.

        `shares` is how much of each slot's gradients counts (`clip_shares`).
        Slots that are not live keep parameters, moments and count bit for bit, whatever their
        gradients are.
        """
        beta_mean, beta_square = self._betas
        self.num_steps += live
        count = self.num_steps.clamp(min=1).double()
        mean_correction = 1.0 - beta_mean**count
        square_root_correction = (1.0 - beta_square**count).sqrt()
        with torch.no_grad():
            for name, tensor in self._parameters.items():
                rate = (rates[name] / mean_correction).to(tensor.dtype)
                correction, share = square_root_correction.to(tensor.dtype), shares.to(tensor.dtype)
                gradient, mean, square = gradients[name], self._means[name], self._squares[name]
                if has_kernels(tensor.device):
                    from dreamfoundry.nerf.kernels.slot_adam import slot_adam

                    slot_adam(tensor, mean, square, gradient, share, rate, correction, live, self._betas, self._eps)
                    continue
                column = (-1, *[1] * (tensor.dim() - 1))
                moves, rate, correction = live.view(column), rate.view(column), correction.view(column)
                gradient = gradient * share.view(column)
                _replace(mean, torch.lerp(mean, gradient, 1.0 - beta_mean), moves)
                _replace(square, (square * beta_square).addcmul_(gradient, gradient, value=1.0 - beta_square), moves)
                stride = square.sqrt().div_(correction).add_(self._eps).reciprocal_().mul_(mean).mul_(rate)
                _replace(tensor, tensor - stride, moves)

    def init_slot(self, slot: int) -> None:
        """Forget the past of `slot`, for the next asset in it."""
        self.num_steps[slot] = 0
        for name in self._parameters:
            self._means[name][slot].zero_()
            self._squares[name][slot].zero_()

    def slot_state(self, slot: int) -> dict[str, Tensor]:
        """A copy of one slot's moments and count on the CPU: "mean.*", "square.*", "num_steps"."""
        state = {"num_steps": self.num_steps[slot].cpu().clone()}
        for name in self._parameters:
            state[f"mean.{name}"] = self._means[name][slot].cpu().clone()
            state[f"square.{name}"] = self._squares[name][slot].cpu().clone()
        return state

    def load_slot(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Put what `slot_state` gave into `slot`. KeyError names a missing tensor."""
        self.num_steps[slot] = state["num_steps"]
        for name in self._parameters:
            self._means[name][slot].copy_(state[f"mean.{name}"])
            self._squares[name][slot].copy_(state[f"square.{name}"])


def slot_gradient_norms(gradients: Mapping[str, Tensor]) -> Float[Tensor, " K"]:
    """Euclidean norm of each slot's whole gradient; not finite exactly for slots that diverged."""
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients.values()]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return total


def clip_shares(norms: Float[Tensor, " K"], max_norm: float) -> Float[Tensor, " K"]:
    """How much of its gradient each slot keeps so that its norm is at most `max_norm`, as `clip_grad_norm_` has it."""
    return (max_norm / (norms + 1e-6)).clamp(max=1.0)


def _replace(target: Tensor, value: Tensor, where: Tensor) -> None:
    torch.where(where, value, target, out=target)
