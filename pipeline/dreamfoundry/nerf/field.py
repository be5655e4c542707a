"""K radiance fields at once: dense grids of features, read trilinearly, and two-layer heads.

Every tensor carries the asset axis first and no operation reads across it, so a slot's values
and gradients never depend on its neighbours. The cost of an encoding follows the number of
lookups (levels x 8), hence few wide levels instead of many narrow ones.

Dimension key:  K slots · M points · L levels · E table entries · C features · N bags of 8 lookups
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import embedding_bag, softplus

from dreamfoundry.config import FieldConfig

MAX_LOG_DENSITY = 15.0
"""The exponential activation is flat above this, or one large logit would be infinite."""

TABLE_INIT_SCALE = 1e-4
"""Half width of the uniform start of the features (instant-ngp, section 4)."""

CORNERS = tuple((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1))


class RadianceFields:
    """K fields with stacked parameters; they are zero until `init_slot` or `load_slot`.

    density = activation(head(features) + blob) inside the sphere |x| <= bound, 0 outside of it;
    albedo = sigmoid(head(features)), display-referred sRGB in [0, 1].
    """

    def __init__(
        self,
        config: FieldConfig,
        num_slots: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.config = config
        self.num_slots = num_slots
        resolutions = config.level_resolutions
        num_features = len(resolutions) * config.features_per_level
        shapes = {
            "table": (sum(r**3 for r in resolutions), config.features_per_level),
            "hidden_weight": (num_features, config.hidden_width),
            "hidden_bias": (1, config.hidden_width),
            "output_weight": (config.hidden_width, 4),
            "output_bias": (1, 4),
        }
        self._parameters = {
            name: torch.zeros(num_slots, *shape, device=device, dtype=dtype, requires_grad=True)
            for name, shape in shapes.items()
        }
        # How much each feature counts; the levels of a slot fade in with its progress.
        self._feature_shares = torch.ones(num_slots, num_features, 1, device=device, dtype=dtype)
        self._blob_stretch = torch.ones(num_slots, 1, 3, device=device, dtype=dtype)
        side = torch.tensor(resolutions, dtype=torch.int32)
        corner_x, corner_y, corner_z = torch.tensor(CORNERS, dtype=torch.int32).unbind(dim=1)
        self._side = side.to(device)
        self._level_start = (side**3).cumsum(0).sub(side**3).to(device, torch.int32)
        self._corner_offset = ((corner_x * side[:, None] + corner_y) * side[:, None] + corner_z).to(device)

    def parameters(self) -> dict[str, Tensor]:
        """The trainable tensors by name, each [K, ...]: "table" and the four of the heads."""
        return dict(self._parameters)

    def init_slot(self, slot: int, generator: torch.Generator) -> None:
        """Start `slot` afresh, in place, from draws of a CPU `generator` only.

        Features are almost zero, so the blob alone makes the first density; the weights of the
        heads are uniform within 1 / sqrt(inputs), their biases zero.
        """
        for name, tensor in self._parameters.items():
            scale = TABLE_INIT_SCALE if name == "table" else tensor.shape[1] ** -0.5
            with torch.no_grad():
                if name.endswith("bias"):
                    tensor[slot].zero_()
                else:
                    draw = torch.rand(tensor.shape[1:], generator=generator)
                    tensor[slot].copy_((2.0 * draw - 1.0) * scale)
        stretch = 1.0 + self.config.density_blob_variety * (2.0 * torch.rand(1, 3, generator=generator) - 1.0)
        self._blob_stretch[slot].copy_(stretch)

    def grid(self, resolution: int) -> Float[Tensor, "1 M 3"]:
        """The vertices of a regular grid over the cube [-bound, bound]^3, x slowest."""
        like = self._blob_stretch
        axis = torch.linspace(-self.config.bound, self.config.bound, resolution, device=like.device, dtype=like.dtype)
        return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(1, -1, 3)

    def set_progress(self, progress: Sequence[float]) -> None:
        """Let the levels of each slot count as `level_shares` has it at its progress; all of them until told."""
        if self.config.all_levels_from_fraction:
            shares = torch.tensor([level_shares(self.config, done) for done in progress])
            features = shares.repeat_interleave(self.config.features_per_level, dim=1)
            self._feature_shares.copy_(features[..., None])

    def slot_state(self, slot: int) -> dict[str, Tensor]:
        """A copy of one slot's parameters and of its blob on the CPU, without the asset axis."""
        state = {name: tensor[slot].detach().cpu().clone() for name, tensor in self._parameters.items()}
        return {**state, "blob_stretch": self._blob_stretch[slot].cpu().clone()}

    def load_slot(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Put what `slot_state` gave into `slot`, in place. KeyError names a missing tensor."""
        with torch.no_grad():
            for name, tensor in self._parameters.items():
                tensor[slot].copy_(state[name])
        self._blob_stretch[slot].copy_(state["blob_stretch"])

    def single(self, slot: int) -> RadianceFields:
        """One slot as fields of its own (K = 1) that share its memory and track no gradients."""
        one = self.part(slice(slot, slot + 1))
        one._parameters = {name: tensor.detach() for name, tensor in one._parameters.items()}
        return one

    def part(self, slots: slice) -> RadianceFields:
        """Some slots as fields of their own; what is computed with them has gradients here."""
        part = copy.copy(self)
        part._parameters = {name: tensor[slots] for name, tensor in self._parameters.items()}
        part._feature_shares, part._blob_stretch = self._feature_shares[slots], self._blob_stretch[slots]
        part.num_slots = len(part._blob_stretch)
        return part

    def encode(self, points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M C"]:
        """Features at `points` of the cube [-bound, bound]^3: all levels, concatenated.

        Outside the cube the outermost cell is extrapolated. Only the table gets a gradient.
        """
        table = self._parameters["table"]
        indices, weights = self._lookups(points.detach())
        rows: Tensor = _WeightedRows.apply(table.flatten(0, 1), indices, weights)  # type: ignore[no-untyped-call]
        return rows.view(*points.shape[:2], len(self.config.level_resolutions) * self.config.features_per_level)

    def query(self, points: Float[Tensor, "K M 3"]) -> tuple[Float[Tensor, "K M"], Float[Tensor, "K M 3"]]:
        """Density (per scene unit, >= 0) and albedo (sRGB in [0, 1]) at `points`."""
        outputs = self._heads(points, 4)
        return self._activate(outputs[..., 0] + self._blob(points), points), torch.sigmoid(outputs[..., 1:])

    def density(self, points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M"]:
        """Density (per scene unit, >= 0) at `points`."""
        return self._activate(self.density_logit(points), points)

    def density_logit(self, points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M"]:
        """What the activation turns into density, blob included and without the bounding sphere.

        The activation rises everywhere, so the gradient of this has the direction of the
        gradient of the density, also where the density itself is too small to have one.
        """
        return self._heads(points, 1)[..., 0] + self._blob(points)

    def _heads(self, points: Tensor, num_outputs: int) -> Tensor:
        values = self._parameters
        # Scaling a feature or the weights that read it is the same; there are fewer weights.
        weight = values["hidden_weight"] * self._feature_shares
        hidden = torch.relu(torch.baddbmm(values["hidden_bias"], self.encode(points), weight))
        return torch.baddbmm(
            values["output_bias"][..., :num_outputs], hidden, values["output_weight"][..., :num_outputs]
        )

    def _blob(self, points: Tensor) -> Tensor:
        scale, radius = self.config.density_blob_scale, self.config.density_blob_radius
        points = points / self._blob_stretch
        if self.config.density_blob == "linear":
            blob: Tensor = scale * (1.0 - points.norm(dim=-1) / radius)
        else:
            blob = scale * torch.exp(-points.square().sum(dim=-1) / (2.0 * radius**2))
        return blob

    def _activate(self, logit: Tensor, points: Tensor) -> Tensor:
        if self.config.density_activation == "softplus":
            density = softplus(logit)
        else:
            density = torch.exp(logit.clamp(max=MAX_LOG_DENSITY))
        inside = points.norm(dim=-1) <= self.config.bound
        return torch.where(inside, density, torch.zeros_like(density))

    def _lookups(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the stacked table and trilinear weights, each [K * M * L, 8]."""
        side, level_start, corner_offset = self._side, self._level_start, self._corner_offset
        slots, num_entries = self._parameters["table"].shape[:2]
        slot_start = torch.arange(slots, device=points.device, dtype=torch.int32) * num_entries

        scale = (side - 1).to(points.dtype) / (2.0 * self.config.bound)
        position = (points + self.config.bound).unsqueeze(3) * scale  # K M 3 L: long rows are faster
        # A position that is not a number must still name a cell; its weights carry the NaN on.
        low = torch.minimum(position.to(torch.int32).clamp_(min=0), side - 2)
        x, y, z = (position - low).unbind(dim=2)
        cell = (low[:, :, 0] * side + low[:, :, 1]) * side + low[:, :, 2]
        cell = cell + level_start + slot_start[:, None, None]

        indices = cell.unsqueeze(3) + corner_offset
        along_x, along_y, along_z = (1.0 - x, x), (1.0 - y, y), (1.0 - z, z)
        weights = torch.stack([along_x[i] * along_y[j] * along_z[k] for i, j, k in CORNERS], dim=-1)
        return indices.view(-1, 8), weights.view(-1, 8)


def level_shares(config: FieldConfig, progress: float) -> list[float]:
    """How much each level counts at `progress` in [0, 1] of a slot's steps, each in [0, 1].

    The first counts from the start. The others fade in one after the other, each in an equal part
    of the time until `all_levels_from_fraction`: shapes first, then detail (DreamFusion A.2 narrows
    the blur of its positional encoding in that time).
    """
    num_finer = len(config.level_resolutions) - 1
    until = config.all_levels_from_fraction
    faded_in = progress / until * num_finer if progress < until else float(num_finer)
    return [1.0, *(min(max(faded_in - earlier, 0.0), 1.0) for earlier in range(num_finer))]


class _WeightedRows(torch.autograd.Function):
    """Sums of 8 weighted table rows, with a gradient for the table only.

    The forward is `embedding_bag`; its own backward sorts all lookups. On the CPU a sparse
    product with the transposed weights is an order of magnitude faster and adds in a fixed
    order; on CUDA atomic additions are.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Float[Tensor, "E F"], indices: Int[Tensor, "N 8"], weights: Float[Tensor, "N 8"]
    ) -> Float[Tensor, "N F"]:
        ctx.save_for_backward(indices, weights)
        ctx.num_entries = table.shape[0]
        return embedding_bag(indices, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Float[Tensor, "N F"]) -> tuple[Float[Tensor, "E F"], None, None]:
        (gradient,) = gradients
        indices, weights = ctx.saved_tensors
        if gradient.device.type == "cpu":
            num_bags = indices.shape[0]
            lookups = csr_matrix(
                (weights.numpy().ravel(), indices.numpy().ravel(), np.arange(num_bags + 1, dtype=np.int32) * 8),
                shape=(num_bags, ctx.num_entries),
            )
            return torch.from_numpy(lookups.T @ gradient.contiguous().numpy()), None, None
        table_gradient = gradient.new_zeros(ctx.num_entries, gradient.shape[1])
        for corner in range(8):
            table_gradient.index_add_(0, indices[:, corner], gradient * weights[:, corner, None])
        return table_gradient, None, None
