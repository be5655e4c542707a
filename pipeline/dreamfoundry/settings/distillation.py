"""How a field is optimised: guidance, cameras, light, regularisers, learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from dreamfoundry.settings.values import Ramp, Range, constant, require

Weighting = Literal["sigma_squared", "uniform", "reconstruction"]
"""How much a timestep counts; `diffusion.guidance.sds_weight` has the formulas."""


@dataclass(frozen=True)
class GuidanceConfig:
    """Score distillation. `guidance_scale` is s in uncond + s (text - uncond).

    `method` is one of `diffusion.guidance`. Timesteps are drawn uniformly from [timestep_low,
    timestep_high], fractions of the prior's noise schedule. DreamFusion: sds, guidance_scale 101,
    range 0.02 to 0.98, weighting sigma^2. `rescale` is how much of the contrast that guidance
    adds is taken back (MVDream: 0.5). `perp_neg` words views smoothly and away from wrong ones.
    `gradient_clip` bounds every element of the gradient, 0 leaves it unbounded (D-SDS, arXiv
    2303.15413, in threestudio: from 0.5 to 2).

    For method sdi (the paper: guidance_scale 7.5, weighting reconstruction, perp_neg, timesteps
    falling from 1 to 0.2): `inversion_steps` calls of the prior at `inversion_guidance_scale` find
    the noise of a picture up to `inversion_overshoot` of the schedule above its timestep, drawn
    uniformly; `inversion_eta` in [0, 1] is how much of it is fresh noise.
    """

    method: Literal["sds", "sdi", "full_gradient"] = "sds"
    guidance_scale: float = 101.0
    rescale: float = 0.0
    weighting: Weighting = "sigma_squared"
    timestep_low: Ramp = constant(0.02)
    timestep_high: Ramp = constant(0.98)
    perp_neg: bool = False
    gradient_clip: Ramp = constant(0.0)
    inversion_steps: int = 10
    inversion_guidance_scale: float = -7.5
    inversion_eta: float = 0.3
    inversion_overshoot: float = 1.0 / 30.0

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
    """Where a training camera may stand: angles in degrees, lengths in scene units.

    Fields of view are uniform in degrees or in the focal length (in picture heights) that they
    belong to, which favours narrow ones.
    """

    elevation_deg: Range = (-10.0, 90.0)
    uniform_area_probability: float = 0.5
    radius: Range = (2.5, 3.0)
    fovy_deg: Range = (40.0, 50.0)
    fovy_uniform_in: Literal["degrees", "focal_length"] = "degrees"
    position_jitter: float = 0.1
    look_at_jitter: float = 0.2
    up_jitter: float = 0.02

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
    """Share of albedo, lit and textureless renders, and the light (DreamFusion A.2).

    A `point` light stands `light_distance` scene units from the middle of the scene, a `distant`
    one shines from the same direction everywhere.
    """

    albedo_only_until_fraction: float = 0.07
    lit_probability: float = 0.75
    textureless_probability: float = 0.5
    ambient_ratio: float = 0.1
    light: Literal["distant", "point"] = "distant"
    light_distance: Range = (0.8, 1.5)

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
    """Weights of the regularisers, each a ramp over the run; 0 switches one off."""

    orientation: Ramp = Ramp(1e-4, 1e-2, 0.0, 1.0 / 3.0)
    opacity: Ramp = constant(1e-3)
    sparsity: Ramp = constant(0.0)
    entropy: Ramp = constant(0.0)
    smoothness: Ramp = constant(0.0)


@dataclass(frozen=True)
class OptimizeConfig:
    """Adam with linear warm-up and cosine decay to `final_lr_fraction`."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {
        "table_lr": "table_rate",
        "head_lr": "head_rate",
        "final_lr_fraction": "final_rate_share",
    }

    num_steps: int = 15_000
    views_per_step: int = 4
    table_lr: float = 0.01
    head_lr: float = 0.001
    warmup_fraction: float = 0.2
    final_lr_fraction: float = 0.01
    betas: Range = (0.9, 0.99)
    eps: float = 1e-15
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        require(self.num_steps >= 1, "optimize.num_steps", self.num_steps, "must be at least 1")
        require(
            1 <= self.views_per_step <= 64,
            "optimize.views_per_step",
            self.views_per_step,
            "must be from 1 to 64",
        )
