"""The radiance field of an asset, how it is rendered, and the snapshot it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from dreamfoundry.settings.values import Range, require


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
class RenderPhase:
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
    later: tuple[RenderPhase, ...] = ()

    def __post_init__(self) -> None:
        stages: tuple[RenderConfig | RenderPhase, ...] = (self, *self.later)
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
