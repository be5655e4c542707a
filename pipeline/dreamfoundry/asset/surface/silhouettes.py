"""Silhouettes: covered pixels, and the agreement of two sets of them.

Dimension key:  V views
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

HALF_OPAQUE = 127
"""A pixel counts as covered above this opacity (0 to 255)."""


def mean_iou(masks: Bool[np.ndarray, "V ..."], others: Bool[np.ndarray, "V ..."]) -> float:
    """Intersection over union, in [0, 1], averaged over the views; two empty views agree fully."""
    one, two = masks.reshape(len(masks), -1), others.reshape(len(others), -1)
    common, either = (one & two).sum(axis=1), (one | two).sum(axis=1)
    return float(np.where(either > 0, common / np.maximum(either, 1), 1.0).mean())
