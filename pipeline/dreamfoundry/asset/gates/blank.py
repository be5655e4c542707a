"""Whether pictures of an asset show one: the same question to every renderer.

Dimension key:  V pictures · H side in pixels
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

MIN_COVERAGE, MAX_COVERAGE = 0.03, 0.95
"""Share of a picture that an asset covers: less is blank, more is not what the camera framed."""

MIN_DEVIATION = 1.0
"""Standard deviation over the asset, of 255, below which a picture shows nothing but a silhouette."""

HALF_OPAQUE = 127


def why_blank(pictures: UInt8[np.ndarray, "V H H 4"]) -> str:
    """Why `pictures` (straight RGBA, from several sides) show no shaded asset; "" where they do."""
    shown = pictures[..., 3] > HALF_OPAQUE
    coverage = shown.mean(axis=(1, 2))
    # A blade is thin from the side: its best view counts, but it must be seen in every one.
    if coverage.min() == 0.0 or not MIN_COVERAGE <= coverage.max() <= MAX_COVERAGE:
        shares = ", ".join(f"{share:.1%}" for share in coverage)
        return (
            f"the asset covers {shares} of its {len(shown)} pictures: must be seen in all of them, and fill "
            f"from {MIN_COVERAGE:.0%} to {MAX_COVERAGE:.0%} of one"
        )
    deviation = min(float(picture[here, :3].std(axis=0).max()) for picture, here in zip(pictures, shown, strict=True))
    if deviation < MIN_DEVIATION:
        return f"a picture is of one colour (deviation {deviation:.2g} of 255): nothing is shaded"
    return ""
