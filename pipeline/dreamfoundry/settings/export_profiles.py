"""How an asset is delivered: the named profiles that a row of the manifest can ask for.

A profile is part of the asset key, not of the field key: a field is optimised once for all of them.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass

from dreamfoundry.settings.values import require


@dataclass(frozen=True)
class ExportProfile:
    """How an asset is delivered: triangle budgets per level, texture sides in pixels.

    `detail_maps` adds normals and occlusion of the dense surface, which take seconds, to the base
    colour. `dense` adds the surface before decimation, with colours at its vertices.
    `turntable_frames` pictures of `turntable_px` make one turn, 0 none; `video` adds it as MP4.
    `browser` has every level opened in a browser before publication, which takes seconds.
    `collision_hulls` is how many convex hulls there may be, 0 for none; more follow the shape more
    closely and cost the engine more. `usdz` asks for the levels as USDZ too, `engine_bundles` for one
    file per engine with the finest level and its hulls, `web` for a compressed one. `unwrap_limit_s`
    bounds the unwrap of one level; after it the child process is killed, and that level has colours at
    its vertices too.
    """

    name: str = "preview"
    triangles: tuple[int, ...] = (8_000,)
    texture_px: tuple[int, ...] = (512,)
    detail_maps: bool = True
    dense: bool = False
    collision_hulls: int = 1
    collision_hull_vertices: int = 32
    usdz: bool = False
    engine_bundles: bool = False
    web: bool = False
    thumbnail_px: int = 512
    turntable_frames: int = 0
    turntable_px: int = 256
    video: bool = False
    browser: bool = False
    unwrap_limit_s: float = 60.0

    def __post_init__(self) -> None:
        require(
            len(self.triangles) == len(self.texture_px) > 0,
            "export.triangles, texture_px",
            (self.triangles, self.texture_px),
            "must name the same number of levels, at least one",
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
    """The profile called `name`; ConfigError names the ones there are."""
    require(name in EXPORT_PROFILES, "budget_profile", name, f"must be one of {', '.join(EXPORT_PROFILES)}")
    return EXPORT_PROFILES[name]
