"""The radiance field of an asset, its rendering during optimisation, and its snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from dreamfoundry.settings.values import Range, require

MAX_FEATURES = 2**31 - 1
"""Features of all entries of all levels of one field; kernels count them in 32 bits."""


def _require_countable(keys: str, values: object, num_features: int) -> None:
    require(
        num_features <= MAX_FEATURES,
        keys,
        values,
        f"must make at most {MAX_FEATURES} features in all, these make {num_features}",
    )


@dataclass(frozen=True)
class HashGridConfig:
    """Many narrow levels, the fine ones in hash tables (instant-ngp, arXiv 2201.05989, section 3).

    Defaults are the paper's.
    """

    num_levels: int = 16
    """Levels, from 1 to 32; their resolutions grow geometrically (equations 2 and 3)."""

    features_per_level: int = 2
    """Features of an entry, from 1 to 8."""

    entries_per_level: int = 2**19
    """Most entries of a level, a power of two from 2^8 to 2^24. A level of fewer vertices has one entry for each; in a
    larger one vertices share entries by a hash (equation 4)."""

    coarsest_resolution: int = 16
    """Vertices per side of the first level, at least 2."""

    finest_resolution: int = 2048
    """Vertices per side of the last level, up to 65536."""

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

        # one level cannot reach two resolutions
        require(
            self.num_levels > 1 or self.coarsest_resolution == self.finest_resolution,
            "field.hash_grid.num_levels",
            self.num_levels,
            "must be at least 2 to reach finest_resolution from another coarsest_resolution",
        )

        num_entries = sum(min(side**3, self.entries_per_level) for side in self.level_resolutions)
        _require_countable(
            "field.hash_grid.entries_per_level, num_levels, features_per_level",
            (self.entries_per_level, self.num_levels, self.features_per_level),
            num_entries * self.features_per_level,
        )

    @property
    def level_resolutions(self) -> tuple[int, ...]:
        """Vertices per side of each level, coarsest first."""
        growth = (self.finest_resolution / self.coarsest_resolution) ** (1.0 / max(1, self.num_levels - 1))
        # the last one is named: the product may fall short of it by a rounding
        grown = (int(self.coarsest_resolution * growth**level) for level in range(self.num_levels - 1))
        return (*grown, self.finest_resolution)


@dataclass(frozen=True)
class FieldConfig:
    """Features on grids of several levels, and two small heads for density and albedo."""

    encoding: Literal["dense", "hash"] = "dense"
    """Few wide dense levels (`level_resolutions`), fast on CPUs, or many narrow hashed ones (`hash_grid`), for GPUs."""

    hash_grid: HashGridConfig = HashGridConfig()
    """Levels of the encoding "hash"; without effect on "dense"."""

    level_resolutions: tuple[int, ...] = (16, 48)
    """Vertices per side of each dense level, from 2 to 256. Memory grows with the cube."""

    features_per_level: int = 8
    """Features of a vertex of a dense level, from 1 to 64."""

    hidden_width: int = 32
    """Units of the hidden layer of each head, from 1 to 1024."""

    bound: float = 1.0
    """Half side of the cube that the grids fill, and radius of the sphere outside of which nothing exists, in scene
    units; positive."""

    density_activation: Literal["softplus", "exp"] = "softplus"
    """Function from the head's output to density; exp has sharper edges after few steps."""

    density_blob: Literal["linear", "gaussian"] = "linear"
    """Shape of the first density, added before the activation: scale (1 - |x| / radius) (Magic3D), or DreamFusion's
    Gaussian."""

    density_blob_scale: float = 10.0
    """Height of the blob at the origin, before the activation."""

    density_blob_radius: float = 0.5
    """Radius (linear) or standard deviation (Gaussian) of the blob, in scene units."""

    density_blob_variety: float = 0.0
    """Largest stretch of the blob along each axis, drawn per candidate within 1 +- this share; in [0, 1), 0 is off."""

    all_levels_from_fraction: float = 0.0
    """Fraction of the steps, in [0, 1], by which the levels beyond the first have faded in; 0 has all at once."""

    occupancy_resolution: int = 0
    """Cells per side, from 8 to 128, of a grid that sends most samples of a ray to where something is; 0 spreads them
    evenly."""

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

        for key, most in (("features_per_level", 64), ("hidden_width", 1024)):
            value = getattr(self, key)
            require(1 <= value <= most, f"field.{key}", value, f"must be from 1 to {most}")
        num_entries = sum(side**3 for side in self.level_resolutions)
        _require_countable(
            "field.level_resolutions, features_per_level",
            (self.level_resolutions, self.features_per_level),
            num_entries * self.features_per_level,
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
    """Picture size and samples from a fraction of the steps on."""

    from_fraction: float
    """Fraction of the steps at which it begins, between 0 and 1."""

    image_px: int
    """Pixels per side, from 8 to 1024."""

    samples_per_ray: int
    """Samples within the sphere, from 4 to 1024."""


@dataclass(frozen=True)
class RenderConfig:
    """Pictures during optimisation, in phases: the first is described here, the others in `later`."""

    image_px: int = 64
    """Pixels per side, from 8 to 1024. Default: DreamFusion's."""

    samples_per_ray: int = 64
    """Samples of a ray within the sphere, from 4 to 1024."""

    normal_step: float = 0.02
    """Half the distance of the finite differences that give normals, in scene units."""

    later: tuple[RenderPhase, ...] = ()
    """Further phases by rising `from_fraction`: empty space is cleared while pictures are small and cheap. Slots in
    one phase are rendered together, on a CPU one by one."""

    def __post_init__(self) -> None:
        phases: tuple[RenderConfig | RenderPhase, ...] = (self, *self.later)
        for index, phase in enumerate(phases):
            where = f"render.later[{index - 1}]" if index else "render"
            require(8 <= phase.image_px <= 1024, f"{where}.image_px", phase.image_px, "must be from 8 to 1024")
            require(
                4 <= phase.samples_per_ray <= 1024,
                f"{where}.samples_per_ray",
                phase.samples_per_ray,
                "must be from 4 to 1024",
            )

        require(
            all(low < high for low, high in self.spans),
            "render.later.from_fraction",
            tuple(phase.from_fraction for phase in self.later),
            "must be rising fractions of the steps between 0 and 1",
        )

    @property
    def spans(self) -> tuple[Range, ...]:
        """First and last fraction of the steps of each phase."""
        return tuple(pairwise((0.0, *(phase.from_fraction for phase in self.later), 1.0)))

    def at(self, progress: float) -> RenderConfig:
        """The phase at `progress` in [0, 1] of the steps, as a configuration without later ones."""
        phase = next((late for late in reversed(self.later) if late.from_fraction <= progress), self)
        return RenderConfig(phase.image_px, phase.samples_per_ray, self.normal_step)


@dataclass(frozen=True)
class SnapshotConfig:
    """Samples of a finished field, all that the export reads."""

    grid_resolution: int = 96
    """Vertices per side of the density and albedo grid, from 16 to 512; bounds the detail of a surface."""

    num_views: int = 12
    """Reference views around the field, from 1 to 256; they decide the isovalue and the scores of likeness."""

    view_px: int = 128
    """Pixels per side of a reference view, from 8 to 2048."""

    def __post_init__(self) -> None:
        require(
            16 <= self.grid_resolution <= 512,
            "snapshot.grid_resolution",
            self.grid_resolution,
            "must be from 16 to 512",
        )
        for key, least, most in (("num_views", 1, 256), ("view_px", 8, 2048)):
            value = getattr(self, key)
            require(least <= value <= most, f"snapshot.{key}", value, f"must be from {least} to {most}")
