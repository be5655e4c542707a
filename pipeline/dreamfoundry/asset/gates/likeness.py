"""Gates on the losses of an export: from field to surface, from surface to level, from level to level.

Read from the scores (module `asset.gates.scores`), so that a finding and its number are never of two measurements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dreamfoundry.asset.findings import warn
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.records import Finding

LIMITS: Mapping[str, tuple[str, float, float]] = {
    "surface_error_mean_LOD0": ("surface_error", 0.0, 0.005),
    "surface_error_max_LOD0": ("surface_error", 0.0, 0.03),
    "silhouette_iou_LOD0": ("field_silhouettes", 0.85, 1.0),
    "level_iou_LOD[1-9]": ("level_silhouettes", 0.9, 1.0),
}
"""Gate and range by score, a pattern. Errors are shares of the diagonal, IoUs means over the reference views."""


def check_likeness(scores: Mapping[str, float]) -> list[Finding]:
    """A warning for each score out of its range."""
    return [
        warn(gate, f"{name} = {value:.4g}: should be {low:g} to {high:g}")
        for pattern, (gate, low, high) in LIMITS.items()
        for name, value in scores.items()
        if re.fullmatch(pattern, name) and not low <= value <= high
    ]


LIKENESS = Check(
    tuple(dict.fromkeys(gate for gate, _, _ in LIMITS.values())),
    "scores",
    lambda draft: CheckResult(check_likeness(draft.scores)),
)
