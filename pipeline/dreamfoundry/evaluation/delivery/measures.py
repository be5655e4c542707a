"""Titles, units and formats of the numbers in a report on delivered assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

NOTHING = "–"
"""Cell of a table without a value."""


@dataclass(frozen=True)
class Measure:
    """Format of a number: title, factor, format string, and which end is the worse one, if one is."""

    title: str
    form: str = "{:.3f}"
    factor: float = 1.0
    worst: Literal["lowest", "highest", ""] = ""

    def format(self, value: float | None) -> str:
        return NOTHING if value is None else self.form.format(value * self.factor)

    def format_spread(self, spread: Mapping[str, float] | None) -> str:
        """The median, and in brackets the worst, or both ends where none is worse."""
        if spread is None:
            return NOTHING
        ends = [spread[self.worst]] if self.worst else [spread["lowest"], spread["highest"]]
        return f"{self.format(spread['median'])} ({' to '.join(map(self.format, ends))})"


TRIANGLES = Measure("triangles", "{:,.0f}")
SECONDS = Measure("s", "{:.2f}", worst="highest")
MEGABYTES = Measure("MB", "{:.2f}", 1e-6, "highest")

LEVEL_MEASURES: Mapping[str, Measure] = {
    "surface_error_mean": Measure("surface error, mean, % of the diagonal", "{:.3f}", 100.0, "highest"),
    "surface_error_max": Measure("surface error, largest, % of the diagonal", "{:.2f}", 100.0, "highest"),
    "silhouette_iou": Measure("silhouette IoU with the render", worst="lowest"),
    "level_iou": Measure("silhouette IoU with LOD0", worst="lowest"),
    "uv_coverage": Measure("UV coverage: share of the texture within triangles", "{:.2f}", worst="lowest"),
    "uv_overlap": Measure("UV overlap: share of that within several", "{:.4f}", worst="highest"),
    "detail_found_share": Measure("share of texels that found the dense surface", worst="lowest"),
}
"""Scores that each level has, by their names without the level."""

ASSET_MEASURES: Mapping[str, Measure] = {
    "view_color_error_mean": Measure("colour error against the render, of 1", worst="highest"),
    "largest_component_area_share": Measure("share of the surface that is in its largest part", worst="lowest"),
    "isovalue_per_unit": Measure("isovalue, per scene unit", "{:.1f}"),
    "num_collision_hulls": Measure("collision hulls", "{:.0f}"),
    "collision_volume_ratio": Measure("volume of the hulls by that of LOD0", "{:.2f}"),
}
"""Scores that an asset has once."""

COLUMN_TITLES: Mapping[str, str] = {
    "uv_coverage_LOD0": "UV coverage",
    "uv_overlap_LOD0": "UV overlap",
    "surface_error_mean_LOD0": "surface error, mean, %",
    "silhouette_iou_LOD0": "silhouette IoU",
    "num_collision_hulls": "hulls",
    "collision_volume_ratio": "their volume",
}
"""Scores that stand in the table of assets."""
