"""PNG encoding without metadata, so that equal pictures have equal bytes.

Dimension key:  H rows · W columns · C channels
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def encode_png(picture: UInt8[np.ndarray, "H W C"]) -> bytes:
    """`picture` (RGB, RGBA or one channel) as lossless PNG without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
