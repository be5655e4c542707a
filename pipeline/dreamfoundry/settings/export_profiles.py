"""Export profiles: files, triangle budgets and texture sizes that a row of the manifest asks for by name.

A profile is part of the asset key and not of the field key: a field is optimised once for all of them.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from dreamfoundry.settings.values import require

SurfaceStyle = Literal["plain", "smooth"]


@dataclass(frozen=True)
class ExportProfile:
    """Delivery of an asset; a level is a level of detail, finest first."""

    name: str = "preview"
    """Name in the manifest's column `budget_profile`."""

    triangles: tuple[int, ...] = (8_000,)
    """Most triangles of each level, from 100 to 30,000."""

    texture_px: tuple[int, ...] = (512,)
    """Texture side of each level in pixels, a power of two from 64 to 4096."""

    surface_style: SurfaceStyle = "plain"
    """"plain" takes the noise of the grid away, "smooth" lumps too, for 0 to 4 % of the volume of thin parts."""

    detail_maps: bool = True
    """Normal and occlusion maps of the dense surface beside the base colour; they take seconds."""

    dense: bool = False
    """The surface before decimation too, with colours at its vertices."""

    collision_hulls: int = 1
    """Most convex hulls of the collision mesh, from 0 (none) to 8; more follow the shape and cost the engine more."""

    collision_hull_vertices: int = 32
    """Most vertices of a hull, from 4 to 32, the limit of engines."""

    usdz: bool = False
    """The levels as USDZ too."""

    engine_bundles: bool = False
    """One file per engine with the finest level and its hulls; needs `collision_hulls`."""

    web: bool = False
    """A compressed file for browsers too."""

    thumbnail_px: int = 512
    """Side of the thumbnail in pixels."""

    turntable_frames: int = 0
    """Pictures of one turn, 0 for no turntable."""

    turntable_px: int = 256
    """Side of a turntable picture in pixels, even."""

    video: bool = False
    """The turntable as MP4 too."""

    browser: bool = False
    """Opens every level in a browser before publication; takes seconds."""

    unwrap_limit_s: float = 60.0
    """Seconds for the unwrap of one level; then the child process is killed and the level has colours at its
    vertices."""

    def __post_init__(self) -> None:
        require(
            len(self.triangles) == len(self.texture_px) > 0,
            "export.triangles, texture_px",
            (self.triangles, self.texture_px),
            "must name the same number of levels, at least one",
        )

        require(
            self.surface_style in get_args(SurfaceStyle),
            "export.surface_style",
            self.surface_style,
            f"must be one of {', '.join(get_args(SurfaceStyle))}",
        )

        require(
            self.turntable_px % 2 == 0,
            "export.turntable_px",
            self.turntable_px,
            "must be even (films are)",
        )

        require(
            all(100 <= count <= 30_000 for count in self.triangles),
            "export.triangles",
            self.triangles,
            "must be from 100 to 30000 per level (unwrapping more takes minutes)",
        )

        require(
            all(size & (size - 1) == 0 and 64 <= size <= 4096 for size in self.texture_px),
            "export.texture_px",
            self.texture_px,
            "must be powers of two from 64 to 4096",
        )

        require(0 <= self.collision_hulls <= 8, "export.collision_hulls", self.collision_hulls, "must be from 0 to 8")
        require(
            self.collision_hulls > 0 or not self.engine_bundles,
            "export.engine_bundles",
            self.engine_bundles,
            "must be false where collision_hulls is 0: a bundle is a level with its hulls",
        )

        require(
            4 <= self.collision_hull_vertices <= 32,
            "export.collision_hull_vertices",
            self.collision_hull_vertices,
            "must be from 4 to 32 (engines take no more)",
        )


EXPORT_PROFILES: Mapping[str, ExportProfile] = types.MappingProxyType(
    {
        profile.name: profile
        for profile in (
            ExportProfile("preview", (8_000,), (512,), detail_maps=False, turntable_frames=24, turntable_px=192),
            ExportProfile("mobile", (5_000, 2_000, 500), (512, 256, 128), turntable_frames=24, video=True),
            ExportProfile(
                "game_prop",
                (20_000, 10_000, 5_000, 1_000),
                (1024, 1024, 512, 256),
                collision_hulls=8,
                engine_bundles=True,
                turntable_frames=24,
                turntable_px=384,
                video=True,
            ),
            ExportProfile(
                "game_hero",
                (30_000, 15_000, 5_000, 1_500),
                (2048, 1024, 512, 256),
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
    require(name in EXPORT_PROFILES, "budget_profile", name, f"must be one of {', '.join(EXPORT_PROFILES)}")
    return EXPORT_PROFILES[name]
