"""What a run is told: frozen dataclasses that refuse nonsense (`recipes` reads them from files).

A `Recipe` decides what an asset looks like and is part of its field key (how it is delivered is an
`export_profiles.ExportProfile`); slots, actors and devices are arguments of the run and in no key.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from dreamfoundry.errors import ConfigError


def require(condition: bool, key: str, value: object, rule: str) -> None:
    """Refuse `value` of `key` unless `condition`; `rule` says what would work."""
    if not condition:
        raise ConfigError(f"{key} = {value!r}: {rule}")


@dataclass(frozen=True)
class Ramp:
    """A number that moves linearly from `start` to `end` between two fractions of the run."""

    start: float
    end: float
    from_fraction: float = 0.0
    until_fraction: float = 1.0

    def __post_init__(self) -> None:
        require(
            0.0 <= self.from_fraction < self.until_fraction <= 1.0,
            "from_fraction, until_fraction",
            (self.from_fraction, self.until_fraction),
            "must be fractions of the run, 0 <= from < until <= 1",
        )

    def at(self, progress: float) -> float:
        """Value at `progress` in [0, 1] of the steps."""
        share = (progress - self.from_fraction) / (self.until_fraction - self.from_fraction)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def constant(value: float) -> Ramp:
    return Ramp(value, value)


@dataclass(frozen=True)
class LoraConfig:
    """A low-rank change of a prior (LoRA, arXiv 2106.09685). `path` is a safetensors file or a folder with one,
    here or on S3.

    `weight` scales it: 1 is as it was trained, 0 nothing. `licence`, `lora_id`, `digest` and
    `research_only` are as those of a `PriorConfig`.
    """

    path: str
    weight: float = 1.0
    lora_id: str = ""
    digest: str = ""
    licence: str = ""
    research_only: bool = False

    def __post_init__(self) -> None:
        require(bool(self.path), "prior.loras.path", self.path, "must be a safetensors file, or a folder with one")
        require(
            bool(self.licence.strip()),
            "prior.loras.licence",
            self.licence,
            f"must name the licence of {self.path!r} as an SPDX id: it is written into every asset",
        )


@dataclass(frozen=True)
class PriorConfig:
    """The frozen diffusion model. `path` is "toybox" or a diffusers folder, here or on S3 (s3://bucket/folder).

    For any folder `licence` (an SPDX id) is required: it travels with every asset. So does
    `prior_id`, the name that the model is published under; empty takes the folder's name.
    `digest` pins the weights; empty accepts what is found and records it. `loras` are merged into
    the weights in their order.
    """

    path: str = "toybox"
    prior_id: str = ""
    revision: str = ""
    digest: str = ""
    licence: str = ""
    research_only: bool = False
    loras: tuple[LoraConfig, ...] = ()

    def __post_init__(self) -> None:
        require(bool(self.path), "prior.path", self.path, 'must be "toybox" or a diffusers folder, here or on S3')


BACKGROUND_LEVELS: Mapping[str, float] = types.MappingProxyType({"white": 1.0, "grey": 0.5, "black": 0.0})
"""The plain backgrounds that a wording may name, each with its display-referred level."""


@dataclass(frozen=True)
class WordingConfig:
    """How a prompt is worded for each view, shading and background.

    The placeholders are {prompt}, {view}, {background} and, in `unconditional` only, {negative}.
    `backgrounds` are the plain colours that the wording may name; when it is empty, backgrounds
    are random colours that the wording does not name. {view} is the one of `elevation_words` for
    the band between two `elevation_bounds_deg` that holds the camera, lowest first, the last one
    being overhead. In it {azimuth} stands for one of `azimuth_words`, which follow one another with
    the azimuth from the front around (an even number, the back half way).
    """

    text: str = "{prompt}, {view} view"
    textureless: str = "{prompt}, {view} view"
    unconditional: str = "{negative}"
    backgrounds: tuple[Literal["white", "grey", "black"], ...] = ()
    azimuth_words: tuple[str, ...] = ("front", "side", "back", "side")
    front_half_angle_deg: float = 45.0
    elevation_words: tuple[str, ...] = ("{azimuth}", "overhead")
    elevation_bounds_deg: tuple[float, ...] = (60.0,)

    def __post_init__(self) -> None:
        require(
            len(self.azimuth_words) >= 4 and len(self.azimuth_words) % 2 == 0,
            "wording.azimuth_words",
            self.azimuth_words,
            "must be an even number of words, at least 4: front first, back half way",
        )
        require(
            len(self.elevation_bounds_deg) == len(self.elevation_words) - 1 > 0
            and list(self.elevation_bounds_deg) == sorted(set(self.elevation_bounds_deg)),
            "wording.elevation_bounds_deg",
            self.elevation_bounds_deg,
            f"must rise and stand between the {len(self.elevation_words)} wording.elevation_words (at least 2)",
        )
        for key in ("text", "textureless"):
            require(
                "{prompt}" in getattr(self, key),
                f"wording.{key}",
                getattr(self, key),
                "must contain {prompt}",
            )
        require(
            0.0 < self.front_half_angle_deg < 90.0,
            "wording.front_half_angle_deg",
            self.front_half_angle_deg,
            "must be between 0 and 90 degrees",
        )


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


Range = tuple[float, float]


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
class HashGridConfig:
    """Many narrow levels, the fine ones in hash tables (instant-ngp, arXiv 2201.05989, section 3).

    Resolutions are vertices per side and grow geometrically from the coarsest to the finest level
    (equations 2 and 3). A level has at most `entries_per_level` entries: one for each vertex where
    that suffices, else its vertices share them by a hash (equation 4).
    """

    num_levels: int = 16
    features_per_level: int = 2
    entries_per_level: int = 2**19
    coarsest_resolution: int = 16
    finest_resolution: int = 2048

    def __post_init__(self) -> None:
        for key, most in (("num_levels", 32), ("features_per_level", 8)):
            value = getattr(self, key)
            require(1 <= value <= most, f"field.hash_grid.{key}", value, f"must be from 1 to {most}")
        require(
            2**8 <= self.entries_per_level <= 2**24 and self.entries_per_level.bit_count() == 1,
            "field.hash_grid.entries_per_level",
            self.entries_per_level,
            "must be a power of two from 256 to 16777216 (2^19 = 524288 is that of the paper)",
        )
        require(
            2 <= self.coarsest_resolution <= self.finest_resolution <= 2**16,
            "field.hash_grid.coarsest_resolution, finest_resolution",
            (self.coarsest_resolution, self.finest_resolution),
            "must be vertices per side, 2 <= coarsest <= finest <= 65536",
        )
        require(
            self.num_levels > 1 or self.coarsest_resolution == self.finest_resolution,
            "field.hash_grid.num_levels",
            self.num_levels,
            "must be at least 2 to reach finest_resolution from another coarsest_resolution",
        )

    @property
    def level_resolutions(self) -> tuple[int, ...]:
        """Vertices per side of each level, coarsest first."""
        growth = (self.finest_resolution / self.coarsest_resolution) ** (1.0 / max(1, self.num_levels - 1))
        # The last one is named: the product may fall short of it by a rounding.
        grown = (int(self.coarsest_resolution * growth**level) for level in range(self.num_levels - 1))
        return (*grown, self.finest_resolution)


@dataclass(frozen=True)
class FieldConfig:
    """The radiance field of one asset: features on grids of several levels and two small heads.

    Grids are `dense` (few wide levels, `level_resolutions` vertices per side, for CPUs) or those
    of `hash_grid` (many narrow ones, for GPUs). `bound` is the half side of the cube and the
    radius of the sphere outside of which nothing exists. The density starts as a blob,
    density_blob_scale * (1 - |x| / density_blob_radius) before the activation (Magic3D) or the
    Gaussian of DreamFusion. `density_blob_variety` stretches it per candidate, along each axis by
    a factor within 1 +- this share, so that seeds begin with different shapes. Levels beyond the
    first fade in, one after the other, until `all_levels_from_fraction` of the steps; 0 has all of
    them from the start. `occupancy_resolution` is in cells per side of a grid that remembers where
    there is something, so that rays take most of their samples there; 0 spreads them evenly.
    """

    encoding: Literal["dense", "hash"] = "dense"
    hash_grid: HashGridConfig = HashGridConfig()
    level_resolutions: tuple[int, ...] = (16, 48)
    features_per_level: int = 8
    hidden_width: int = 32
    bound: float = 1.0
    density_activation: Literal["softplus", "exp"] = "softplus"
    density_blob: Literal["linear", "gaussian"] = "linear"
    density_blob_scale: float = 10.0
    density_blob_radius: float = 0.5
    density_blob_variety: float = 0.0
    all_levels_from_fraction: float = 0.0
    occupancy_resolution: int = 0

    def __post_init__(self) -> None:
        require(
            self.occupancy_resolution == 0 or 8 <= self.occupancy_resolution <= 128,
            "field.occupancy_resolution",
            self.occupancy_resolution,
            "must be 0 (off) or cells per side, from 8 to 128",
        )
        require(
            len(self.level_resolutions) > 0 and all(2 <= r <= 256 for r in self.level_resolutions),
            "field.level_resolutions",
            self.level_resolutions,
            "must be a list of vertices per side, each from 2 to 256",
        )
        require(self.bound > 0.0, "field.bound", self.bound, "must be positive")
        require(
            0.0 <= self.density_blob_variety < 1.0,
            "field.density_blob_variety",
            self.density_blob_variety,
            "must be from 0 (off) to below 1",
        )
        require(
            0.0 <= self.all_levels_from_fraction <= 1.0,
            "field.all_levels_from_fraction",
            self.all_levels_from_fraction,
            "must be a fraction of the steps, from 0 (at once) to 1",
        )

    @property
    def num_levels(self) -> int:
        return self.hash_grid.num_levels if self.encoding == "hash" else len(self.level_resolutions)


@dataclass(frozen=True)
class RenderStage:
    """Pictures from a share of the steps on."""

    from_fraction: float
    image_px: int
    samples_per_ray: int


@dataclass(frozen=True)
class RenderConfig:
    """Pictures during optimisation: `image_px` per side, `samples_per_ray` within the sphere.

    `later` stages replace both from their share of the steps on: empty space is cleared while
    pictures are cheap. Slots with later stages are rendered one by one.
    """

    image_px: int = 64
    samples_per_ray: int = 64
    normal_step: float = 0.02
    later: tuple[RenderStage, ...] = ()

    def __post_init__(self) -> None:
        stages: tuple[RenderConfig | RenderStage, ...] = (self, *self.later)
        for index, stage in enumerate(stages):
            where = f"render.later[{index - 1}]" if index else "render"
            require(8 <= stage.image_px <= 1024, f"{where}.image_px", stage.image_px, "must be from 8 to 1024")
            require(
                4 <= stage.samples_per_ray <= 1024,
                f"{where}.samples_per_ray",
                stage.samples_per_ray,
                "must be from 4 to 1024",
            )
        require(
            all(low < high for low, high in self.spans),
            "render.later.from_fraction",
            tuple(stage.from_fraction for stage in self.later),
            "must be rising fractions of the steps between 0 and 1",
        )

    @property
    def spans(self) -> tuple[Range, ...]:
        """The part of the steps that each stage lasts, as fractions from and until."""
        return tuple(pairwise((0.0, *(stage.from_fraction for stage in self.later), 1.0)))

    def at(self, progress: float) -> RenderConfig:
        """What applies at `progress` in [0, 1] of the steps, without stages."""
        stage = next((late for late in reversed(self.later) if late.from_fraction <= progress), self)
        return RenderConfig(stage.image_px, stage.samples_per_ray, self.normal_step)


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
    """The loop of one asset: Adam with linear warm-up and cosine decay to `final_rate_share`."""

    num_steps: int = 15_000
    views_per_step: int = 4
    table_rate: float = 0.01
    head_rate: float = 0.001
    warmup_fraction: float = 0.2
    final_rate_share: float = 0.01
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


@dataclass(frozen=True)
class GateConfig:
    """What ends a candidate, at every look and in the end; `looks` defines the scores.

    Mean opacity is that of the views, in [0, 1]. `min_prompt_gain` is a ramp over the run, since
    an early field resembles nothing yet; -1 switches it off, and 0 and 1 the two before it.
    """

    min_mean_opacity: float = 0.02
    max_mean_opacity: float = 0.85
    min_flatness_ratio: float = 0.08
    max_several_faces_share: float = 1.0
    min_prompt_gain: Ramp = constant(-1.0)


@dataclass(frozen=True)
class LookConfig:
    """When a field is looked at while it is made, and what may follow (`candidates`).

    `at` are fractions of the steps; the end is always looked at. `best_of` candidates race by
    successive halving; up to `max_restarts` more replace candidates that a gate refused, as long
    as `step_budget` (in whole runs of the prompt, all candidates together) allows a whole run.
    A look pictures the field from `num_views` sides and asks the prior at `timesteps`, fractions
    of its noise schedule.
    """

    at: tuple[float, ...] = (0.15,)
    best_of: int = 1
    max_restarts: int = 1
    step_budget: float = 2.5
    num_views: int = 8
    timesteps: tuple[float, ...] = (0.5, 0.75)

    def __post_init__(self) -> None:
        require(
            all(0.0 < low < high for low, high in pairwise((*self.at, 1.0))),
            "looks.at",
            self.at,
            "must be rising fractions of the steps between 0 and 1",
        )
        require(1 <= self.best_of <= 64, "looks.best_of", self.best_of, "must be from 1 to 64")
        require(
            self.best_of == 1 or len(self.at) > 0, "looks.best_of", self.best_of, "needs looks.at: where to compare"
        )
        require(self.max_restarts >= 0, "looks.max_restarts", self.max_restarts, "must be 0 (off) or more")
        require(self.step_budget >= 1.0, "looks.step_budget", self.step_budget, "must be at least 1, one whole run")
        require(self.num_views >= 4, "looks.num_views", self.num_views, "must be at least 4: front, sides and back")
        require(
            len(self.timesteps) > 0 and all(0.0 < share < 1.0 for share in self.timesteps),
            "looks.timesteps",
            self.timesteps,
            "must be fractions of the noise schedule between 0 and 1, at least one",
        )


@dataclass(frozen=True)
class SnapshotConfig:
    """What the field leaves for the export: grid vertices per side and reference views."""

    grid_resolution: int = 96
    num_views: int = 12
    view_px: int = 128

    def __post_init__(self) -> None:
        require(
            16 <= self.grid_resolution <= 512,
            "snapshot.grid_resolution",
            self.grid_resolution,
            "must be from 16 to 512",
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a field becomes, except prompt and seed."""

    prior: PriorConfig = PriorConfig()
    wording: WordingConfig = WordingConfig()
    guidance: GuidanceConfig = GuidanceConfig()
    cameras: CameraConfig = CameraConfig()
    shading: ShadingConfig = ShadingConfig()
    field: FieldConfig = FieldConfig()
    render: RenderConfig = RenderConfig()
    losses: LossConfig = LossConfig()
    optimize: OptimizeConfig = OptimizeConfig()
    looks: LookConfig = LookConfig()
    gates: GateConfig = GateConfig()
    snapshot: SnapshotConfig = SnapshotConfig()

    def __post_init__(self) -> None:
        require(
            not self.guidance.perp_neg or len(self.wording.azimuth_words) % 4 == 0,
            "wording.azimuth_words",
            self.wording.azimuth_words,
            "must be a multiple of 4 words for guidance.perp_neg, which needs a word for either side",
        )
