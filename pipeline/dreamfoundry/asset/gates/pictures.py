"""The gate on the pictures that are delivered with an asset.

Dimension key:  V pictures · H side in pixels
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from dreamfoundry.asset.gates.blank import why_blank
from dreamfoundry.asset.gates.findings import block
from dreamfoundry.records import Finding


def check_pictures(pictures: UInt8[np.ndarray, "V H H 4"]) -> list[Finding]:
    """Straight RGBA from around one asset, all of one size: they must show it, shaded."""
    why = why_blank(pictures)
    return [block("picture", why)] if why else []
