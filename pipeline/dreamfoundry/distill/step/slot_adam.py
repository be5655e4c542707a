"""Adam for K assets at once: each slot has its own step count, learning rates and live flag.

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
        scales: Float[Tensor, " K"],
        lrs: Mapping[str, Float[Tensor, " K"]],
        live: Bool[Tensor, " K"],
    ) -> None:
        """Update the `live` slots once, at their own learning rate for each parameter.

        `scales` multiply each slot's gradients (`clip_scales`). Slots that are not live keep
        parameters, moments and count bit for bit, whatever their gradients are.
        """
        beta_mean, beta_square = self._betas

        # bias corrections in double precision: 1 - beta^n loses digits in the first steps
        self.num_steps += live
        count = self.num_steps.clamp(min=1).double()
        mean_correction = 1.0 - beta_mean**count
        root_correction = (1.0 - beta_square**count).sqrt()

        with torch.no_grad():
            for name, tensor in self._parameters.items():
                lr = (lrs[name] / mean_correction).to(tensor.dtype)
                correction, scale = root_correction.to(tensor.dtype), scales.to(tensor.dtype)
                gradient, mean, square = gradients[name], self._means[name], self._squares[name]

                # the kernel passes over memory once instead of once per operation
                if has_kernels(tensor.device):
                    from dreamfoundry.nerf.kernels.slot_adam import slot_adam

                    slot_adam(tensor, mean, square, gradient, scale, lr, correction, live, self._betas, self._eps)
                    continue

                column = (-1, *[1] * (tensor.dim() - 1))
                is_live, lr, correction = live.view(column), lr.view(column), correction.view(column)
                gradient = gradient * scale.view(column)
                _replace(mean, torch.lerp(mean, gradient, 1.0 - beta_mean), is_live)
                _replace(square, (square * beta_square).addcmul_(gradient, gradient, value=1.0 - beta_square), is_live)
                update = square.sqrt().div_(correction).add_(self._eps).reciprocal_().mul_(mean).mul_(lr)
                _replace(tensor, tensor - update, is_live)

    def init_slot(self, slot: int) -> None:
        """Zero the moments and the step count of `slot`, for the next asset in it."""
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
        """Load the output of `slot_state` into `slot`. KeyError names a missing tensor."""
        self.num_steps[slot] = state["num_steps"]
        for name in self._parameters:
            self._means[name][slot].copy_(state[f"mean.{name}"])
            self._squares[name][slot].copy_(state[f"square.{name}"])


def slot_gradient_norms(gradients: Mapping[str, Tensor]) -> Float[Tensor, " K"]:
    """Euclidean norm of each slot's whole gradient; not finite exactly for slots that diverged."""
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients.values()]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return total


def clip_scales(norms: Float[Tensor, " K"], max_norm: float) -> Float[Tensor, " K"]:
    """Factor in (0, 1] per slot that bounds its gradient norm by `max_norm`, as `clip_grad_norm_` does."""
    return (max_norm / (norms + 1e-6)).clamp(max=1.0)


def _replace(target: Tensor, value: Tensor, where: Tensor) -> None:
    torch.where(where, value, target, out=target)
