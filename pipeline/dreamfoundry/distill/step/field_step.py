"""All of a step but the prior: from its inputs to pictures, and from their gradient to the update of every slot.

    step.load(inputs)                    # on the device from here on
    pictures = step.render()
    ...                                  # the prior says how they should change
    step.update(gradient of pictures)

Dimension key:  K slots · V views per slot · B = K V views · H pixels per side
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamfoundry.distill.step.inputs import StepInputs
from dreamfoundry.distill.step.one_copy import copied_at_once
from dreamfoundry.distill.step.render import RenderedStep, render_step
from dreamfoundry.distill.step.slot_adam import SlotAdam, clip_scales, slot_gradient_norms
from dreamfoundry.nerf.field import RadianceFields
from dreamfoundry.settings.recipe import Recipe


@runtime_checkable
class AroundPrior(Protocol):
    """The calls of one step, in this order; `replay` has them recorded."""

    def load(self, on_host: StepInputs) -> StepInputs:
        """The inputs on the device, for the two calls that follow."""
        ...

    def render(self) -> Float[Tensor, "B 3 H H"]:
        """The pictures of all views, without a graph."""
        ...

    def update(self, picture_gradient: Float[Tensor, "B 3 H H"]) -> None:
        """Step every slot by the gradient of its pictures and of its regularisers."""
        ...


class FieldStep:
    """`AroundPrior`, operation by operation. `healthy` [K] has a flag for each slot.

    `picture_px` is the side of the prior's own pictures.
    """

    def __init__(self, recipe: Recipe, num_slots: int, picture_px: int, device: str) -> None:
        self.fields = RadianceFields(recipe.field, num_slots, device=device)
        self.adam = SlotAdam(self.fields.parameters(), recipe.optimize.betas, recipe.optimize.eps)
        self.healthy = torch.ones(num_slots, dtype=torch.bool, device=device)
        self.device = torch.device(device)
        self._recipe, self._picture_px = recipe, picture_px
        self._inputs: StepInputs | None = None
        self._rendered: RenderedStep | None = None

    def load(self, on_host: StepInputs, buffer: Tensor | None = None) -> StepInputs:
        """See `AroundPrior`; through `buffer` on the device if one is given."""
        self._inputs = copied_at_once(on_host, self.device, buffer)
        return self._inputs

    def render(self) -> Float[Tensor, "B 3 H H"]:
        """See `AroundPrior`; their graph is kept until `update`."""
        assert self._inputs is not None
        self.fields.set_level_shares(self._inputs.level_shares)
        self._rendered = render_step(self.fields, self._inputs, self._recipe, self._picture_px)
        return self._rendered.pictures.detach()

    def update(self, picture_gradient: Float[Tensor, "B 3 H H"]) -> None:
        """Clip each slot's gradient and step it; a slot with a gradient that is not finite stops here."""
        assert self._inputs is not None
        assert self._rendered is not None
        rendered, rates, self._rendered = self._rendered, self._inputs.rates, None
        parameters = self.fields.parameters()
        outputs = (rendered.pictures, rendered.regularization)
        upstream = (picture_gradient, torch.ones_like(rendered.regularization))
        found = torch.autograd.grad(outputs, list(parameters.values()), upstream)
        gradients = dict(zip(parameters, found, strict=True))

        # a flag once down stays down: the slot keeps its parameters until the host reads it
        norms = slot_gradient_norms(gradients)
        self.healthy &= torch.isfinite(norms) | ~rates.occupied

        optimize = self._recipe.optimize
        self.adam.step(
            gradients,
            clip_scales(norms, optimize.max_grad_norm),
            {
                name: rates.multipliers * (optimize.table_lr if name == "table" else optimize.head_lr)
                for name in parameters
            },
            rates.occupied & self.healthy,
        )
