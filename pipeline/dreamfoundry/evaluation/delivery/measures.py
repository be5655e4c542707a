"""Titles, units and formats of the numbers in a report on delivered assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

NOTHING = "–"
"""Cell of a table without a value."""


@dataclass(frozen=True)
class Measure:
    """Format of a number: title, factor, format string, and which end is the worse one, if one is.

    Beyond `limit`, in the direction of `worst`, an art lead sends an asset back.
    """

    title: str
    form: str = "{:.3f}"
    factor: float = 1.0
    worst: Literal["lowest", "highest", ""] = ""
    limit: float | None = None

    def is_beyond(self, value: float) -> bool:
        """True for what is worse than `limit`."""
        if self.limit is None:
            return False
        return value < self.limit if self.worst == "lowest" else value > self.limit

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

WORKMANSHIP: Mapping[str, Measure] = {
    "charts_LOD0": Measure("UV charts, LOD0", "{:.0f}", worst="highest", limit=100.0),
    "charts_any_level": Measure("UV charts, the level with most", "{:.0f}", worst="highest", limit=100.0),
    "small_chart_share_LOD0": Measure("charts of at most 2 triangles, LOD0, %", "{:.0f}", 100.0, "highest", 0.2),
    "flat_uv_triangles_any_level": Measure(
        "triangles without UV area, any level", "{:.0f}", worst="highest", limit=0.0
    ),
    "sliver_share_LOD0": Measure("slivers (quality below 0.2), LOD0, %", "{:.1f}", 100.0, "highest", 0.04),
    "edge_angle_deg": Measure(
        "angle between neighbouring faces, LOD0, degrees, as of 20,000 triangles", "{:.1f}", worst="highest", limit=7.0
    ),
    "seam_jump_LOD0": Measure("colour across seams at mip 3, LOD0, of 255", "{:.1f}", worst="highest", limit=5.0),
    "tips_over": Measure(
        "centre of mass beside the support at 2 % of the height", "{:.0f}", worst="highest", limit=0.0
    ),
    "hull_outside_share": Measure("surface outside its hulls, % of the diagonal", "{:.2f}", 100.0, "highest", 0.01),
    "num_genera": Measure("different genera among the levels", "{:.0f}", worst="highest", limit=1.0),
    "texture_gpu_bytes": Measure("pictures of all levels on a GPU, MB", "{:.1f}", 1e-6, "highest"),
    "level_bytes": Measure("files of all levels, MB", "{:.2f}", 1e-6, "highest"),
    "silhouette_iou": Measure("silhouette IoU with the render", worst="lowest"),
    "f_score_5_percent": Measure("F-score against the true toy, at 5 % of the diagonal", worst="lowest"),
    "f_score_2_percent": Measure("the same at 2 %", worst="lowest"),
    "chamfer_share": Measure("Chamfer distance to the true toy, % of its diagonal", "{:.2f}", 100.0, "highest"),
    "export_s": Measure("export, s by the clock", "{:.1f}", worst="highest"),
    "export_cpu_s": Measure("export, CPU s", "{:.1f}", worst="highest"),
}
"""What an art lead looks at first, measured in the delivered files (`workmanship`), with what it cost."""
