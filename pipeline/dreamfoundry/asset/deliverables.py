"""The two lists of an export: its optional files, and the checks of everything that is delivered.

A new file format or gate is a module of its own and one entry here (docs/EXTENDING.md). The order of
entries counts among checks of one subject, and among deliverables of one moment: it is that of their findings.
"""

from __future__ import annotations

from collections.abc import Mapping

from dreamfoundry.asset.files import c2pa, engine_bundle, usdz, web_glb
from dreamfoundry.asset.files.deliverable import Deliverable
from dreamfoundry.asset.files.sidecar import MEDIA_TYPES as COMMON_MEDIA_TYPES
from dreamfoundry.asset.gates import hulls, khronos, levels, likeness, metadata, pictures, shape
from dreamfoundry.asset.gates.browser import gate as browser
from dreamfoundry.asset.gates.check import Check
from dreamfoundry.asset.gates.maps import albedo, charts, lightmap
from dreamfoundry.asset.pictures import video

DELIVERABLES: tuple[Deliverable, ...] = (
    engine_bundle.ENGINE_BUNDLES,
    web_glb.WEB_GLB,
    browser.BROWSER,
    usdz.USDZ,
    c2pa.CREDENTIAL,
    video.VIDEO,
)

CHECKS: tuple[Check, ...] = (
    khronos.KHRONOS,
    levels.LEVELS,
    charts.CHARTS,
    lightmap.LIGHTMAP,
    albedo.ALBEDO,
    hulls.HULLS,
    metadata.METADATA,
    likeness.LIKENESS,
    shape.SHAPE,
    pictures.PICTURES,
)

GATES: tuple[str, ...] = (
    *(gate for check in CHECKS for gate in check.gates),
    *(deliverable.gate for deliverable in DELIVERABLES if deliverable.gate),
)
"""Every gate by name; `gate_results` gives each one its status."""

MEDIA_TYPES: Mapping[str, str] = {
    **COMMON_MEDIA_TYPES,
    **{suffix: kind for deliverable in DELIVERABLES for suffix, kind in deliverable.media_types.items()},
}
"""Media type by the last part of a file name."""
