"""Gates on the maps of a level: every picture decodes, has its size, and can be what its slot says.

Dimension key:  T texels per side
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dreamfoundry.asset.files.glb_reader import DeliveredMesh, Glb
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


BYTES_PER_TEXEL = 4
"""Of a picture on a GPU: RGBA of 8 bits, also where the file has fewer channels."""


def texture_gpu_bytes(levels: Iterable[Glb]) -> int:
    """Bytes of the pictures of all levels on a GPU, uncompressed, with mip levels; shared pictures count once.

    What does not decode counts nothing, and is refused by the gates.
    """
    pictures = {glb.image(number) for glb in levels for number in range(len(glb.document.get("images", ())))}
    return BYTES_PER_TEXEL * sum(_num_texels(picture) for picture in pictures)


def _num_texels(data: bytes) -> int:
    """Texels of a picture and of its mip levels, each half as wide and high as the one before, down to one."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
    except OSError:
        return 0
    num_mips = max(width, height).bit_length()
    return sum(max(width >> mip, 1) * max(height >> mip, 1) for mip in range(num_mips))


def map_problems(mesh: DeliveredMesh, texture_px: int) -> Iterator[Finding]:
    """Findings on every map of a level; its base colour must be there, the others may be absent."""
    slots = [("base_color", _base_color_problems)]
    if mesh.normal_map_png:
        slots.append(("normal_map", _normal_map_problems))
    if mesh.occlusion_png:
        slots.append(("occlusion", _occlusion_problems))

    for name, problems in slots:
        try:
            picture = getattr(mesh, name)
        except ValueError as error:
            yield block("image_decodes", str(error))
            continue

        height_px, width_px = picture.shape[:2]
        sides_px = [texture_px] if name == "base_color" else [texture_px >> k for k in range(texture_px.bit_length())]
        if height_px != width_px or width_px not in sides_px:
            smaller = "" if name == "base_color" else ", or a half, a quarter ... of it"
            yield block(
                "image_size",
                f"{name} of {width_px} x {height_px} px: must be {texture_px} x {texture_px} px{smaller}",
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


def _occlusion_problems(picture: UInt8[np.ndarray, "T T 1"]) -> Iterator[Finding]:
    if (mean := float(picture.mean())) < MIN_MEAN_OCCLUSION:
        yield warn(
            "occlusion", f"mean occlusion = {mean:.1f}: should be at least {MIN_MEAN_OCCLUSION:g} (0 is all in shade)"
        )
