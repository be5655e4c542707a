"""Export profiles: files, triangle budgets and texture sizes that a row of the manifest asks for by name.

A studio orders others in a TOML file (`settings.loading.resolve_profile`, docs/PROFILES.md).

A profile is part of the asset key and not of the field key: a field is optimised once for all of them.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

from dreamfoundry.settings.values import require

DEFAULT_PROFILE = "preview"
"""Profile of rows and commands that name none."""

SurfaceStyle = Literal["plain", "smooth"]
Pivot = Literal["base_center", "center"]

MAX_LEVELS = 8

RANGES: Mapping[str, tuple[float, float]] = types.MappingProxyType(
    {
        "surface_error": (0, 0.01),
        "collision_hulls": (0, 8),
        "collision_hull_vertices": (8, 32),  # fewer hold no shape, engines take no more
        "thumbnail_px": (32, 2048),
        "turntable_frames": (0, 360),
        "turntable_px": (32, 1024),
        "unwrap_limit_s": (0.001, 3600),
        "lightmap_px": (0, 2048),
        "max_slivers": (0, 1),
        "max_edge_angle_deg": (0, 180),
        "max_hull_outside": (0, 1),
        "max_charts": (1, 100_000),
        "max_small_charts": (0, 1),
        "max_seam_jump": (0, 255),
        "max_lightness_correlation": (0, 1),
    }
)
"""Lowest and highest value of the keys that are a number."""

CHOICES: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {"surface_style": get_args(SurfaceStyle), "pivot": get_args(Pivot)}
)
"""Values of the keys that are a word."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class ExportProfile:
    """Delivery of an asset; a level is a level of detail, finest first."""

    name: str = "preview"
    """Name in the manifest's column `budget_profile`, in the catalog, on the page and in every file."""

    triangles: tuple[int, ...] = (8_000,)
    """Most triangles of each level, from 100 to 30,000."""

    texture_px: tuple[int, ...] = (512,)
    """Texture side of each level in pixels, a power of two from 64 to 4096."""

    surface_error: float = 0.0
    """Mean distance of the finest level from the dense surface, as a share of its diagonal, up to 0.01; of each
    coarser level twice that of the one before. A level has no more triangles than that takes; 0 is the whole budget."""

    surface_style: SurfaceStyle = "plain"
    """"plain" takes the noise of the grid away, "smooth" lumps too, for 0 to 4 % of the volume of thin parts."""

    flat_base: bool = False
    """Cuts the object off, at most 4 % of its height, where it then stands by itself."""

    detail_maps: bool = True
    """Normal and occlusion maps of the dense surface beside the base colour; they take seconds."""

    dense: bool = False
    """The surface before decimation too, with colours at its vertices."""

    collision_hulls: int = 1
    """Most convex hulls of the collision mesh, from 0 (none) to 8; more follow the shape and cost the engine more."""

    collision_hull_vertices: int = 32
    """Most vertices of a hull, from 8 to 32, the limit of engines."""

    usdz: bool = False
    """The levels as USDZ too."""

    engine_bundles: bool = False
    """One file per engine with the finest level and its hulls; needs `collision_hulls`."""

    web: bool = False
    """A compressed file for browsers too."""

    thumbnail_px: int = 512
    """Side of the thumbnail in pixels, from 32 to 2048."""

    turntable_frames: int = 0
    """Pictures of one turn, up to 360, 0 for no turntable."""

    turntable_px: int = 256
    """Side of a turntable picture in pixels, even, from 32 to 1024."""

    video: bool = False
    """The turntable as MP4 too."""

    browser: bool = False
    """Opens every level in a browser before publication; takes seconds."""

    unwrap_limit_s: float = 60.0
    """CPU seconds for the unwrap of one level, up to 3600; then its vertices have colours, in place of a texture."""

    shared_atlas: bool = False
    """Coarser levels keep the coordinates and pictures of the finest, for one material; `texture_px` is the finest's"""

    lightmap_px: int = 0
    """Side of the lightmap that a second set of texture coordinates is packed for, from 32 to 2048, 0 for no such set;
    its charts lie two texels apart."""

    max_slivers: float = 0.04
    """Largest share of slivers among the triangles of the finest level; more are warned of, as below."""

    max_edge_angle_deg: float = 7.0
    """Largest mean angle between neighbouring faces of the dense surface, in degrees."""

    max_hull_outside: float = 0.01
    """Farthest that the finest level may stand out of its collision hulls, as a share of its diagonal."""

    max_charts: int = 100
    """Most charts of a level, from 1; one with more is unwrapped once more after some relaxation, and warned of if
    that does not help."""

    max_small_charts: float = 0.2
    """Largest share of charts with one or two triangles, with the same consequences."""

    max_seam_jump: float = 5.0
    """Largest mean difference of the base colour on the two sides of a seam, from 0 to 255, at an eighth of the side of
    the finest texture and a quarter of that of others (at least 32 px); warned of."""

    max_lightness_correlation: float = 0.5
    """Largest correlation of lightness with the height of the normal within one hue of the finest level, from 0 to 1;
    more looks like light in the base colour, and is warned of."""

    pivot: Pivot = "base_center"
    """Point of the asset that is the origin: the middle of its base, on which it stands, or of its bounding box."""

    def __post_init__(self) -> None:
        require(
            bool(_NAME.fullmatch(self.name)), "name", self.name, "must be 1 to 40 of A-Z a-z 0-9 _ -, no - in front"
        )
        self._require_levels()
        for key, (low, high) in RANGES.items():
            value = getattr(self, key)
            require(low <= value <= high, key, value, f"must be from {low:g} to {high:g}")
        for key, known in CHOICES.items():
            value = getattr(self, key)
            require(value in known, key, value, f"must be one of {', '.join(known)}")
        require(
            self.lightmap_px == 0 or self.lightmap_px >= 32,
            "lightmap_px",
            self.lightmap_px,
            "must be 0 (none) or at least 32",
        )
        require(
            not self.video or self.turntable_frames > 0,
            "video",
            self.video,
            "must be false where turntable_frames is 0: a film is made of the pictures of a turn",
        )

        require(self.turntable_px % 2 == 0, "turntable_px", self.turntable_px, "must be even (films are)")
        require(
            self.collision_hulls > 0 or not self.engine_bundles,
            "engine_bundles",
            self.engine_bundles,
            "must be false where collision_hulls is 0: a bundle is a level with its hulls",
        )

    def _require_levels(self) -> None:
        require(
            0 < len(self.triangles) == len(self.texture_px) <= MAX_LEVELS,
            "triangles, texture_px",
            (self.triangles, self.texture_px),
            f"must name the same number of levels, from 1 to {MAX_LEVELS}",
        )

        require(
            all(100 <= count <= 30_000 for count in self.triangles),
            "triangles",
            self.triangles,
            "must be from 100 to 30000 per level (unwrapping more takes minutes)",
        )

        require(
            all(finer > coarser for finer, coarser in pairwise(self.triangles)),
            "triangles",
            self.triangles,
            "must fall from level to level, the finest first",
        )
        require(
            all(size & (size - 1) == 0 and 64 <= size <= 4096 for size in self.texture_px),
            "texture_px",
            self.texture_px,
            "must be powers of two from 64 to 4096",
        )

        require(
            all(finer >= coarser for finer, coarser in pairwise(self.texture_px)),
            "texture_px",
            self.texture_px,
            "must not rise from level to level: a coarser one is seen from farther away",
        )

        require(
            not self.shared_atlas or len(self.triangles) > 1,
            "shared_atlas",
            self.shared_atlas,
            f"must be false where triangles = {self.triangles} orders one level: there is none to share with",
        )

    def with_levels(self, num_levels: int) -> ExportProfile:
        """The profile of an asset of which only so many levels are made, the first ones."""
        return replace(self, triangles=self.triangles[:num_levels], texture_px=self.texture_px[:num_levels])


EXPORT_PROFILES: Mapping[str, ExportProfile] = types.MappingProxyType(
    {
        profile.name: profile
        for profile in (
            ExportProfile(
                "preview",
                (8_000,),
                (512,),
                surface_error=0.0002,
                detail_maps=False,
                turntable_frames=24,
                turntable_px=192,
            ),
            ExportProfile(
                "mobile",
                (5_000, 2_000, 500),
                (512, 256, 128),
                surface_error=0.0002,
                flat_base=True,
                turntable_frames=24,
                video=True,
            ),
            ExportProfile(
                "game_prop",
                (20_000, 10_000, 5_000, 1_000),
                (1024, 512, 256, 128),
                surface_error=0.0002,
                flat_base=True,
                collision_hulls=8,
                engine_bundles=True,
                turntable_frames=24,
                turntable_px=384,
                video=True,
            ),
            ExportProfile(
                "game_hero",
                (30_000, 15_000, 5_000, 1_500),
                (1024, 1024, 512, 256),
                surface_error=0.0001,
                flat_base=True,
                collision_hulls=8,
                engine_bundles=True,
                usdz=True,
                turntable_frames=24,
                turntable_px=384,
                video=True,
                browser=True,
            ),
            ExportProfile(
                "cg",
                (20_000,),
                (2048,),
                surface_error=0.00005,
                dense=True,
                collision_hulls=0,
                usdz=True,
                turntable_frames=24,
                turntable_px=384,
                video=True,
            ),
        )
    }
)


def export_profile(name: str) -> ExportProfile:
    """The profile called `name`; ConfigError lists the known ones."""
    rule = f"must be one of {', '.join(EXPORT_PROFILES)}; one of your own is for a whole run: --profile FILE.toml"
    require(name in EXPORT_PROFILES, "budget_profile", name, rule)
    return EXPORT_PROFILES[name]
