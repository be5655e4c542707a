"""Gates on the charts of a level: how much of the texture they use, and whether two share a texel.

Dimension key:  N vertices · F faces
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Integer

from dreamfoundry.asset.findings import block, warn
from dreamfoundry.asset.maps.rasterize import num_covering
from dreamfoundry.records import Finding

MAX_OVERLAP = 0.01
MIN_COVERAGE = 0.25
"""Charts are as large as they fit with the padding of `asset.maps.unwrap`, which takes more of a small texture."""


@dataclass(frozen=True)
class AtlasUse:
    """`coverage` is the share of the texels whose centre lies in a triangle; `overlap` the share of
    these that lie in more than one. Both in [0, 1]."""

    coverage: float
    overlap: float


def atlas_use(uvs: Float32[np.ndarray, "N 2"], faces: Integer[np.ndarray, "F 3"], texture_px: int) -> AtlasUse:
    """Use of a square texture of `texture_px` by triangles with these coordinates, all in [0, 1]."""
    times = num_covering(uvs.astype(np.float64) * texture_px, faces, texture_px)
    covered = int((times > 0).sum())
    return AtlasUse(coverage=covered / times.size, overlap=float((times > 1).sum() / max(covered, 1)))


def atlas_problems(use: AtlasUse) -> Iterator[Finding]:
    if use.overlap > MAX_OVERLAP:
        yield block(
            "uv_overlap",
            f"{use.overlap:.1%} of the texels in use belong to several triangles: at most {MAX_OVERLAP:.0%} may",
        )
    if use.coverage < MIN_COVERAGE:
        yield warn("uv_coverage", f"{use.coverage:.1%} of the texels are in use: should be {MIN_COVERAGE:.0%}")
