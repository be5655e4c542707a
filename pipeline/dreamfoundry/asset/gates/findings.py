"""The gates by name, what one of them finds, and the one word that an asset has for each."""

from __future__ import annotations

from collections.abc import Sequence

from dreamfoundry.records import Finding

TOOL = "dreamfoundry"
GATES = (
    "khronos",
    "readable",
    "finite",
    "unit_normals",
    "watertight",
    "one_component",
    "volume",
    "winding",
    "triangle_budget",
    "levels_decreasing",
    "base_at_origin",
    "height",
    "longest_side",
    "unwrapped",
    "uv_range",
    "uv_overlap",
    "uv_coverage",
    "image_decodes",
    "image_size",
    "base_color_range",
    "base_color_varies",
    "orm",
    "normal_map",
    "tangents",
    "collision_hull",
    "metadata",
    "surface_error",
    "field_silhouettes",
    "level_silhouettes",
    "picture",
    "browser",
    "video",
    "usd",
    "web",
    "content_credential",
)
"""Every gate by name; `gate_results` gives each one a word."""


def gate_results(findings: Sequence[Finding]) -> dict[str, str]:
    """One word per gate: "passed", or the worst of "warn", "not_run", "block" that was found."""
    ranks = ("passed", "warn", "not_run", "block")
    results = dict.fromkeys(GATES, "passed")
    for finding in findings:
        results[finding.gate] = max(results[finding.gate], finding.severity, key=ranks.index)
    return results


def block(gate: str, message: str) -> Finding:
    """What refuses publication."""
    return Finding("block", gate, TOOL, message)


def warn(gate: str, message: str) -> Finding:
    """What a person should look at; the asset is published."""
    return Finding("warn", gate, TOOL, message)


def not_run(gate: str, reason: str) -> Finding:
    """What was not looked at, which is never to be read as passed."""
    return Finding("not_run", gate, TOOL, reason)
