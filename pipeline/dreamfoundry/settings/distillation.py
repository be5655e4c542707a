"""Distillation of a field: guidance, cameras, light, regularisers, learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from dreamfoundry.settings.values import Ramp, Range, constant, require

Weighting = Literal["sigma_squared", "uniform", "reconstruction"]
"""Weight of a timestep in the gradient; `diffusion.guidance.sds_weight` has the formulas."""


@dataclass(frozen=True)
class GuidanceConfig:
    """Score distillation; keys that begin with `inversion_` are for the method sdi alone."""

    method: Literal["sds", "sdi", "full_gradient"] = "sds"
    """Noise of a step and derivative of the prior; the table is in `diffusion.guidance`. Default: DreamFusion's."""

    guidance_scale: float = 101.0
    """s in uncond + s (text - uncond), at least 1: no guidance. Default: DreamFusion's omega plus 1; sdi: 7.5."""

    rescale: float = 0.0
    """Share of the contrast added by guidance that is taken back, in [0, 1]; 0 is off, MVDream has 0.5."""

    weighting: Weighting = "sigma_squared"
    """Weight of a timestep. Default: DreamFusion's noise variance; the paper of sdi needs "reconstruction"."""

    timestep_low: Ramp = constant(0.02)
    """Lower end of the timesteps, a fraction of the prior's noise schedule in [0, 1]; they are drawn uniformly."""

    timestep_high: Ramp = constant(0.98)
    """Upper end of the timesteps, at or above `timestep_low` at every step. Defaults: DreamFusion's; sdi: 1 to 0.2."""

    perp_neg: bool = False
    """Perp-Neg: view words blended by the azimuth, with two perpendicular negatives; twice the rows of a call."""

    gradient_clip: Ramp = constant(0.0)
    """Bound of every element of the gradient, 0 for none. D-SDS (arXiv 2303.15413) in threestudio: from 0.5 to 2."""

    inversion_steps: int = 10
    """Calls of the prior that find the noise of a picture, from 1 to 1000 in every step."""

    inversion_guidance_scale: float = -7.5
    """Guidance scale of those calls, any number. Default: the paper's of sdi."""

    inversion_eta: float = 0.3
    """Share of the noise that is fresh, in [0, 1]."""

    inversion_overshoot: float = 1.0 / 30.0
    """An inversion ends above the timestep by a uniform draw up to this fraction of the schedule, in [0, 1]."""

    def __post_init__(self) -> None:
        require(
            self.guidance_scale >= 1.0,
            "guidance.guidance_scale",
            self.guidance_scale,
            "must be at least 1 (1 is no guidance; a paper's omega is this minus 1)",
        )

        for key in ("rescale", "inversion_eta", "inversion_overshoot"):
            require(
                0.0 <= getattr(self, key) <= 1.0, f"guidance.{key}", getattr(self, key), "must be from 0 (off) to 1"
            )

        for progress in (0.0, 0.5, 1.0):
            low, high = self.timestep_low.at(progress), self.timestep_high.at(progress)
            require(
                0.0 <= low <= high <= 1.0,
                "guidance.timestep_low, timestep_high",
                (low, high),
                f"must keep 0 <= low <= high <= 1 at every step (fails at {progress:.0%})",
            )

        # a bound of 0 means none, so a ramp through 0 would jump from the tightest bound to no bound
        clip = (self.gradient_clip.start, self.gradient_clip.end)
        require(
            min(clip) > 0.0 or clip == (0.0, 0.0),
            "guidance.gradient_clip",
            clip,
            "must be positive from start to end, or 0 (off) at both",
        )

        require(
            1 <= self.inversion_steps <= 1000,
            "guidance.inversion_steps",
            self.inversion_steps,
            "must be from 1 to 1000 (each is a call of the prior in every step)",
        )


@dataclass(frozen=True)
class CameraConfig:
    """Training cameras; their azimuths are stratified over all sides. Lengths are in scene units."""

    elevation_deg: Range = (-10.0, 90.0)
    """Rising pair within [-90, 90], 90 is overhead. Default: DreamFusion's (A.2)."""

    uniform_area_probability: float = 0.5
    """Probability in [0, 1] of an elevation uniform in the area of the sphere; else uniform in the angle."""

    radius: Range = (2.5, 3.0)
    """Distance from the origin, a rising pair of positive scene units, uniform between them."""

    fovy_deg: Range = (40.0, 50.0)
    """Vertical field of view, a rising pair within (0, 180) degrees."""

    fovy_uniform_in: Literal["degrees", "focal_length"] = "degrees"
    """Quantity that is uniform between the two ends; "focal_length" (DreamFusion's) favours narrow views."""

    position_jitter: float = 0.1
    """Half side of the cube, in scene units, of a uniform offset of the position. Default: DreamFusion's."""

    look_at_jitter: float = 0.2
    """Standard deviation of the target around the origin, in scene units. Default: DreamFusion's."""

    up_jitter: float = 0.02
    """Standard deviation of the up vector around +Y, of length 1. Default: DreamFusion's."""

    def __post_init__(self) -> None:
        low, high = self.elevation_deg
        require(
            -90.0 <= low < high <= 90.0,
            "cameras.elevation_deg",
            self.elevation_deg,
            "must be a rising pair of degrees within [-90, 90]",
        )

        require(
            0.0 < self.radius[0] <= self.radius[1],
            "cameras.radius",
            self.radius,
            "must be a rising pair of positive scene units",
        )

        require(
            0.0 < self.fovy_deg[0] <= self.fovy_deg[1] < 180.0,
            "cameras.fovy_deg",
            self.fovy_deg,
            "must be a rising pair of degrees within (0, 180)",
        )


@dataclass(frozen=True)
class ShadingConfig:
    """Albedo, lit and textureless renders, and the light (DreamFusion A.2)."""

    albedo_only_until_fraction: float = 0.07
    """Fraction of the steps, in [0, 1], that shows the albedo alone. Default: DreamFusion's first 1,000 of 15,000."""

    lit_probability: float = 0.75
    """Probability in [0, 1] of light in a later step."""

    textureless_probability: float = 0.5
    """Probability in [0, 1] that a lit step is white, so that shape alone can explain the prompt."""

    ambient_ratio: float = 0.1
    """Ambient part of the light, in [0, 1]; the rest is Lambertian."""

    light: Literal["distant", "point"] = "distant"
    """A point light stands in the scene (DreamFusion's); a distant one shines from its direction everywhere."""

    light_distance: Range = (0.8, 1.5)
    """Distance of a point light from the origin, a rising pair of positive scene units. Default: DreamFusion's."""

    def __post_init__(self) -> None:
        for key in ("albedo_only_until_fraction", "lit_probability", "textureless_probability", "ambient_ratio"):
            require(0.0 <= getattr(self, key) <= 1.0, f"shading.{key}", getattr(self, key), "must be within [0, 1]")
        require(
            0.0 < self.light_distance[0] <= self.light_distance[1],
            "shading.light_distance",
            self.light_distance,
            "must be a rising pair of positive scene units",
        )


@dataclass(frozen=True)
class LossConfig:
    """Weights of the regularisers (`nerf.regularizers`), each a ramp over the run; 0 switches one off."""

    orientation: Ramp = Ramp(1e-4, 1e-2, 0.0, 1.0 / 3.0)
    """Against visible surfaces that face away (Ref-NeRF). Default: DreamFusion's."""

    opacity: Ramp = constant(1e-3)
    """Against opacity in empty space, by sqrt(opacity^2 + 0.01). Default: DreamFusion's."""

    sparsity: Ramp = constant(0.0)
    """Against mean opacity."""

    entropy: Ramp = constant(0.0)
    """Against rays that neither hit nor miss, in bits."""

    smoothness: Ramp = constant(0.0)
    """Against neighbouring pixels that face differently."""


@dataclass(frozen=True)
class OptimizeConfig:
    """Adam with linear warm-up and cosine decay to `final_lr_fraction`."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {
        "table_lr": "table_rate",
        "head_lr": "head_rate",
        "final_lr_fraction": "final_rate_share",
    }

    num_steps: int = 15_000
    """Steps of one candidate, from 1 to 1000000. Default: DreamFusion's."""

    views_per_step: int = 4
    """Pictures of an asset in one step, from 1 to 64. Default: DreamFusion's batch on four devices."""

    table_lr: float = 0.01
    """Peak learning rate of the feature grids."""

    head_lr: float = 0.001
    """Peak learning rate of the two heads."""

    warmup_fraction: float = 0.2
    """Fraction of the steps over which learning rates rise linearly from 0. Default: DreamFusion's 3,000 of 15,000."""

    final_lr_fraction: float = 0.01
    """Fraction of the peak that is left at the last step, along a cosine; 1 is no decay. Default: DreamFusion's."""

    betas: Range = (0.9, 0.99)
    """Decay of Adam's first and second moment, each in [0, 1)."""

    eps: float = 1e-15
    """Adam's denominator; instant-ngp's, since gradients of single table entries are tiny."""

    max_grad_norm: float = 1.0
    """Largest norm of the gradient of one asset; a longer one is scaled down."""

    def __post_init__(self) -> None:
        require(1 <= self.num_steps <= 10**6, "optimize.num_steps", self.num_steps, "must be from 1 to 1000000")
        require(
            1 <= self.views_per_step <= 64,
            "optimize.views_per_step",
            self.views_per_step,
            "must be from 1 to 64",
        )
