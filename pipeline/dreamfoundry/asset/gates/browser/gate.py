"""The browser gate: every level, drawn by three.js, must be there, shaded, and without an error.

Chromium and the npm package `three` are optional. Where one is absent the gate is "not_run", never to be
read as passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from dreamfoundry.asset.files.deliverable import Deliverable, Made
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.gates.browser.page import Browser, PageRendering
from dreamfoundry.asset.gates.pictures import why_blank
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose
from dreamfoundry.records import Finding

GATE = "browser"
TOOL = "three.js in Chromium"

VIEW_PX = 256
ELEVATION_DEG = 20.0
AZIMUTHS_DEG = (30.0, 120.0, 210.0, 300.0)

MIN_LEVEL_IOU = 0.9


def check_levels(browser: Browser, levels: Sequence[Glb]) -> tuple[list[Finding], dict[str, PageRendering]]:
    """Findings on the levels of one asset, finest first, and their renderings by name.

    All levels are drawn with the cameras of the first. An error on the console and a blank picture
    block; a silhouette unlike that of the first level warns.
    """
    vertices = levels[0].mesh.vertices
    poses = np.stack([framing_pose(vertices, azimuth_deg, ELEVATION_DEG) for azimuth_deg in AZIMUTHS_DEG])
    renderings = {level.name: browser.render(level.data, poses, FOVY_DEG, VIEW_PX) for level in levels}
    first = next(iter(renderings.values()))

    findings: list[Finding] = [
        Finding(severity, GATE, TOOL, f"{name}: {message}")
        for name, rendering in renderings.items()
        for severity, message in _problems(rendering, first)
    ]
    return findings, renderings


def silhouette_iou(one: PageRendering, other: PageRendering) -> float:
    """Intersection over union, in [0, 1], of two silhouettes from the same poses: the worst view."""
    first, second = one.silhouettes(), other.silhouettes()
    common, either = (first & second).sum(axis=(1, 2)), (first | second).sum(axis=(1, 2))
    return float((common / np.maximum(either, 1)).min())


def _problems(rendering: PageRendering, first: PageRendering) -> list[tuple[Literal["block", "warn"], str]]:
    if rendering.errors:
        return [("block", f"console error: {error}") for error in rendering.errors]
    if why := why_blank(rendering.pictures):
        return [("block", why)]
    if not first.errors and (iou := silhouette_iou(rendering, first)) < MIN_LEVEL_IOU:
        return [("warn", f"silhouette IoU with the first level = {iou:.3f}: should be at least {MIN_LEVEL_IOU:g}")]
    return []


def _check(draft: AssetDraft) -> Made:
    with Browser() as browser:
        return {}, check_levels(browser, draft.levels)[0]


BROWSER = Deliverable(
    gate=GATE,
    tool=TOOL,
    stage="validate",
    moment="after_gates",
    unwanted=lambda profile: "" if profile.browser else "not in this profile",
    make=_check,
)
