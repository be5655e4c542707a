"""Gate on pictures of an asset: they must show one, shaded. The same test serves every renderer.

Dimension key:  V pictures · H side in pixels
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.findings import block
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.asset.surface.silhouettes import HALF_OPAQUE
from dreamfoundry.records import Finding

GATE = "picture"

MIN_COVERAGE, MAX_COVERAGE = 0.03, 0.95
"""Share of a picture covered by the asset: less is blank, more is not the view that was framed."""

MIN_DEVIATION = 1.0
"""Standard deviation over the asset, of 255, below which a picture is nothing but a silhouette."""


def check_pictures(pictures: UInt8[np.ndarray, "V H H 4"]) -> list[Finding]:
    """Findings on straight RGBA pictures from around one asset, all of one size."""
    why = why_blank(pictures)
    return [block(GATE, why)] if why else []


def why_blank(pictures: UInt8[np.ndarray, "V H H 4"]) -> str:
    """The reason why `pictures` (straight RGBA, from several sides) show no shaded asset; "" where they do."""
    covered = pictures[..., 3] > HALF_OPAQUE
    coverage = covered.mean(axis=(1, 2))
    # A blade is thin from the side: its best view counts, but it must be visible in every one.
    if coverage.min() == 0.0 or not MIN_COVERAGE <= coverage.max() <= MAX_COVERAGE:
        shares = ", ".join(f"{share:.1%}" for share in coverage)
        return (
            f"the asset covers {shares} of its {len(covered)} pictures: must be seen in all of them, and fill "
            f"from {MIN_COVERAGE:.0%} to {MAX_COVERAGE:.0%} of one"
        )

    deviation = min(float(picture[here, :3].std(axis=0).max()) for picture, here in zip(pictures, covered, strict=True))
    if deviation < MIN_DEVIATION:
        return f"a picture is of one colour (deviation {deviation:.2g} of 255): nothing is shaded"
    return ""


def _check(draft: AssetDraft) -> CheckResult:
    if draft.frames is None:
        raise ValueError("the pictures of this asset are not drawn yet")
    return CheckResult(check_pictures(draft.frames))


PICTURES = Check((GATE,), "pictures", _check)
