"""Linear light and the sRGB of pictures, both in [0, 1] (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64


def linear_from_srgb(srgb: Float[np.ndarray, "*S"]) -> Float64[np.ndarray, "*S"]:
    """sRGB in [0, 1] to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb.astype(np.float64) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: Float[np.ndarray, "*S"]) -> Float64[np.ndarray, "*S"]:
    """Linear light to sRGB; what is outside of [0, 1] is cut off."""
    within = np.clip(linear.astype(np.float64), 0.0, 1.0)
    return np.where(within <= 0.0031308, 12.92 * within, 1.055 * within ** (1.0 / 2.4) - 0.055)
