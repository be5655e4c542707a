"""K radiance fields at once: grids of features, read trilinearly, and two-layer heads.

Every tensor carries the asset axis first and no operation reads across it, so a slot's values
and gradients never depend on its neighbours. How a table is read is the encoding's affair
(`dense_grid`, `hash_grid`); nothing else knows which one it is.

Dimension key:  K slots · M points · C features
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from dreamfoundry.nerf.dense_grid import DenseGrid
from dreamfoundry.nerf.hash_grid import HashGrid
from dreamfoundry.nerf.heads import heads
from dreamfoundry.nerf.trilinear import SharedGradient
from dreamfoundry.settings.field import FieldConfig

MAX_LOG_DENSITY = 15.0
"""The exponential activation is flat above this, or one large logit would be infinite."""

OCCUPANCY_DECAY = 0.95
"""Of the occupancy of a cell that has become empty, at each update."""

TABLE_INIT_SCALE = 1e-4
"""Half width of the uniform start of the features (instant-ngp, section 4)."""


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
        self.encoding = HashGrid(config, device) if config.encoding == "hash" else DenseGrid(config, device)
        num_features = config.num_levels * self.encoding.features_per_level
        shapes = {
            "table": (self.encoding.num_entries, self.encoding.features_per_level),
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
        self._shared_gradient: SharedGradient | None = None
        side = config.occupancy_resolution
        self.occupancy = torch.ones(num_slots, side, side, side, device=device, dtype=dtype) if side else None

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
        if self.occupancy is not None:
            self.occupancy[slot].fill_(1.0)

    @torch.no_grad()
    def update_occupancy(self, slots: Sequence[int]) -> None:
        """Let the grids of these slots follow their fields, in place.

        A cell keeps the larger of its opacity now, in [0, 1], to a ray through its middle, and
        OCCUPANCY_DECAY of its value before (instant-ngp, appendix C): what vanishes is forgotten slowly.
        """
        for run in _runs(slots):
            part = self.part(run)
            assert part.occupancy is not None
            side, cell = part.occupancy.shape[-1], 2.0 * self.config.bound / part.occupancy.shape[-1]
            middles = (self.grid(side) * (1.0 - 1.0 / side)).expand(part.num_slots, -1, -1)
            opacity = -torch.expm1(-part.density(middles) * cell).view_as(part.occupancy)
            torch.maximum(opacity, OCCUPANCY_DECAY * part.occupancy, out=part.occupancy)

    def grid(self, resolution: int) -> Float[Tensor, "1 M 3"]:
        """The vertices of a regular grid over the cube [-bound, bound]^3, x slowest."""
        like = self._blob_stretch
        axis = torch.linspace(-self.config.bound, self.config.bound, resolution, device=like.device, dtype=like.dtype)
        return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(1, -1, 3)

    def set_level_shares(self, shares: Float[Tensor, "K levels"]) -> None:
        """Weigh the levels of each slot, as `level_shares` has it; until the first call, and where levels do not fade
        in, all of them count.
        """
        if self.config.all_levels_from_fraction:
            self._feature_shares.view(*shares.shape, -1).copy_(shares[..., None])

    def slot_state(self, slot: int) -> dict[str, Tensor]:
        """A copy of one slot's parameters, blob and occupancy on the CPU, without the asset axis."""
        state = {name: tensor[slot].detach().cpu().clone() for name, tensor in self._parameters.items()}
        grids = {} if self.occupancy is None else {"occupancy": self.occupancy[slot].cpu().clone()}
        return {**state, "blob_stretch": self._blob_stretch[slot].cpu().clone(), **grids}

    def load_slot(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Load the output of `slot_state` into `slot`, in place. KeyError names a missing tensor."""
        with torch.no_grad():
            for name, tensor in self._parameters.items():
                tensor[slot].copy_(state[name])
        self._blob_stretch[slot].copy_(state["blob_stretch"])
        if self.occupancy is not None:
            self.occupancy[slot].copy_(state["occupancy"])

    def single(self, slot: int) -> RadianceFields:
        """One slot as fields of its own (K = 1) that share its memory and track no gradients."""
        one = self.part(slice(slot, slot + 1))
        one._parameters = {name: tensor.detach() for name, tensor in one._parameters.items()}
        return one

    def part(self, slots: slice) -> RadianceFields:
        """Some slots as fields of their own; what is computed with them has gradients here."""
        return self._with({name: tensor[slots] for name, tensor in self._slot_tensors().items()})

    def parts(self, sizes: Sequence[int], order: Int[Tensor, " K"] | None = None) -> list[RadianceFields]:
        """All slots, in `order` if one is given, shared out to fields of these numbers of slots, with gradients here.

        The gradients of the parts are put together once. Slices (`part`) would each bring a gradient of all
        slots, filled up with zeros, to be added to the others: the square of the number of slots.
        """
        if order is None and len(sizes) == 1:
            return [self]
        tensors = self._slot_tensors()
        if order is not None:
            tensors = {name: tensor.index_select(0, order) for name, tensor in tensors.items()}
        shares = {name: tensor.split(list(sizes)) for name, tensor in tensors.items()}
        return [self._with({name: share[index] for name, share in shares.items()}) for index in range(len(sizes))]

    def for_one_pass(self) -> RadianceFields:
        """The same fields for one way there and one back, on which the readings of the table share its gradient."""
        once = copy.copy(self)
        once._shared_gradient = SharedGradient()
        return once

    def _slot_tensors(self) -> dict[str, Tensor]:
        """Everything that has a line for each slot."""
        grids = {} if self.occupancy is None else {"occupancy": self.occupancy}
        return {**self._parameters, "feature_shares": self._feature_shares, "blob_stretch": self._blob_stretch, **grids}

    def _with(self, tensors: Mapping[str, Tensor]) -> RadianceFields:
        """Fields of this kind that consist of these tensors."""
        other = copy.copy(self)
        other._parameters = {name: tensors[name] for name in self._parameters}
        other._feature_shares, other._blob_stretch = tensors["feature_shares"], tensors["blob_stretch"]
        other.occupancy, other.num_slots = tensors.get("occupancy"), len(tensors["blob_stretch"])
        return other

    def encode(self, points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M C"]:
        """Features at `points` of the cube [-bound, bound]^3: all levels, concatenated.

        Outside the cube the outermost cell is extrapolated. Only the table gets a gradient.
        """
        return self.encoding.encode(self._parameters["table"], points.detach(), self._shared_gradient)

    def query(self, points: Float[Tensor, "K M 3"]) -> tuple[Float[Tensor, "K M"], Float[Tensor, "K M 3"]]:
        """Density (per scene unit, >= 0) and albedo (sRGB in [0, 1]) at `points`."""
        outputs = self._heads(points, 4)
        return self._activate(outputs[:, 0] + self._blob(points), points), torch.sigmoid(outputs[:, 1:]).mT

    def density(self, points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M"]:
        """Density (per scene unit, >= 0) at `points`."""
        return self._activate(self.density_logit(points), points)

    def density_logit(self, points: Float[Tensor, "K M 3"]) -> Float[Tensor, "K M"]:
        """Density before its activation, blob included and without the bounding sphere.

        The activation rises everywhere, so the gradient of this has the direction of the
        gradient of the density, also where the density itself is too small to have one.
        """
        return self._heads(points, 1)[:, 0] + self._blob(points)

    def _heads(self, points: Tensor, num_outputs: int) -> Float[Tensor, "K O M"]:
        values = self._parameters
        # Scaling a feature or the weights that read it is the same; there are fewer weights.
        weight = values["hidden_weight"] * self._feature_shares
        output_weight, output_bias = (values[name][..., :num_outputs] for name in ("output_weight", "output_bias"))
        return self.compute_heads(self.encode(points), weight, values["hidden_bias"], output_weight, output_bias)

    compute_heads = staticmethod(heads)
    """From features to outputs, as `nerf.heads.heads` has it."""

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


def _runs(slots: Sequence[int]) -> list[slice]:
    """Neighbours together: they are read by one query."""
    runs: list[slice] = []
    for slot in sorted(slots):
        if runs and runs[-1].stop == slot:
            runs[-1] = slice(runs[-1].start, slot + 1)
        else:
            runs.append(slice(slot, slot + 1))
    return runs


def level_shares(config: FieldConfig, progress: float) -> list[float]:
    """Weight of each level, in [0, 1], at `progress` in [0, 1] of a slot's steps.

    The first counts from the start. The others fade in one after the other, each in an equal part
    of the time until `all_levels_from_fraction`: shapes first, then detail (DreamFusion A.2 narrows
    the blur of its positional encoding in that time).
    """
    num_finer = config.num_levels - 1
    until = config.all_levels_from_fraction
    faded_in = progress / until * num_finer if progress < until else float(num_finer)
    return [1.0, *(min(max(faded_in - earlier, 0.0), 1.0) for earlier in range(num_finer))]
