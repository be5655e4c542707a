"""Gates on the maps of a level: every picture decodes, has its size, and can be what its slot says.

Dimension key:  T texels per side
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.findings import block, warn
from dreamfoundry.records import Finding

MIN_COLOR_SPREAD = 1.0
"""Standard deviation of the base colour, of 255, below which it counts as constant."""

MIN_MEAN, MAX_MEAN = 10.0, 245.0
"""Mean of the base colour, of 255: outside of it a picture is black or white."""

MIN_MEAN_OCCLUSION = 25.0
"""Mean of the occlusion, of 255, below which nothing sees the sky."""

MIN_UPRIGHT = 0.7
"""Mean z of a normal map, whose normals stand on a surface close to the one they are of."""

RARE = 0.01
"""Share of texels that may be out of the ordinary."""


def map_problems(mesh: DeliveredMesh, texture_px: int) -> Iterator[Finding]:
    """Findings on every map of a level; its base colour must be there, the others may be absent."""
    slots = [("base_color", _base_color_problems)]
    if mesh.normal_map_png:
        slots.append(("normal_map", _normal_map_problems))
    if mesh.orm_png:
        slots.append(("orm", _orm_problems))

    for name, problems in slots:
        try:
            picture = getattr(mesh, name)
        except ValueError as error:
            yield block("image_decodes", str(error))
            continue

        height_px, width_px = picture.shape[:2]
        if not height_px == width_px == texture_px:
            yield block(
                "image_size",
                f"{name} of {width_px} x {height_px} px: must be {texture_px} x {texture_px} px",
            )
        yield from problems(picture)


def _base_color_problems(picture: UInt8[np.ndarray, "T T 3"]) -> Iterator[Finding]:
    if not MIN_MEAN <= (mean := float(picture.mean())) <= MAX_MEAN:
        yield warn("base_color_range", f"mean of the base colour = {mean:.1f}: should be {MIN_MEAN:g} to {MAX_MEAN:g}")
    if float(picture.reshape(-1, 3).std(axis=0).max()) < MIN_COLOR_SPREAD:
        yield warn("base_color_varies", "the base colour is the same everywhere")


def _normal_map_problems(picture: UInt8[np.ndarray, "T T 3"]) -> Iterator[Finding]:
    upright = picture[..., 2] / 127.5 - 1.0
    if (mean := float(upright.mean())) < MIN_UPRIGHT:
        yield warn("normal_map", f"mean z of the normal map = {mean:.2f}: should be at least {MIN_UPRIGHT:g}")
    if (share := float((upright < 0.0).mean())) > RARE:
        yield warn("normal_map", f"{share:.1%} of the normal map points into the surface: at most {RARE:.0%} should")


def _orm_problems(picture: UInt8[np.ndarray, "T T 3"]) -> Iterator[Finding]:
    occlusion, _, metallic = np.moveaxis(picture, -1, 0)
    if (mean := float(occlusion.mean())) < MIN_MEAN_OCCLUSION:
        yield warn("orm", f"mean occlusion = {mean:.1f}: should be at least {MIN_MEAN_OCCLUSION:g} (0 is all in shade)")
    if (share := float(((metallic > 0) & (metallic < 255)).mean())) > RARE:
        yield warn("orm", f"{share:.1%} of the texels are half metal: at most {RARE:.0%} should be")
