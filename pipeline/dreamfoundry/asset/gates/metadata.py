"""Gate on metadata: each GLB has all of it, and the same as the others."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.findings import block
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.records import Finding
from dreamfoundry.settings.metadata_policy import canonical_license

GATE = "metadata"
EXTRAS_KEY = "dreamfoundry"
XMP = "KHR_xmp_json_ld"

REQUIRED = (
    "schema",
    "ai_generated",
    "digital_source_type",
    "generator",
    "asset_key",
    "field_key",
    "prompt_sha256",
    "seed",
    "prior",
    "asset_license",
    "research_only",
    "export_profile",
    "units",
)
"""Keys required in extras; the prompt itself may be left out (see `MetadataPolicy`)."""

SHORT_FORM = ("asset_key", "ai_generated", "digital_source_type", "asset_license", "research_only")
"""Keys required in the extras of each node and mesh too, which stay with it among other assets."""


def check_metadata(glbs: Iterable[Glb]) -> list[Finding]:
    """Findings on the extras, copyright line and XMP of the GLBs of one asset."""
    extras: dict[str, Any] = {}
    findings = []
    for glb in glbs:
        try:
            problems = list(_problems(glb.document))
            extras[glb.name] = glb.document["asset"].get("extras")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems = [f"cannot be read: {type(error).__name__}: {error}"]
        findings += [block(GATE, f"{glb.name}: {problem}") for problem in problems]

    first = next(iter(extras.values()), None)
    findings += [
        block(GATE, f"{name}: its extras are not those of {next(iter(extras))}")
        for name, own in extras.items()
        if own != first
    ]
    return findings


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    asset = document["asset"]
    extras = asset.get("extras", {}).get(EXTRAS_KEY, {})
    missing = [key for key in REQUIRED if extras.get(key) in (None, "")]
    if missing:
        yield f"extras without {', '.join(missing)}"
        return

    if document["scenes"][0].get("extras", {}).get(EXTRAS_KEY) != extras:
        yield "the extras of its scene, which Blender shows, are not those of its asset"
    for kind in ("nodes", "meshes"):
        for item in document[kind]:
            told = item.get("extras", {}).get(EXTRAS_KEY, {})
            wrong = [key for key in SHORT_FORM if told.get(key) != extras.get(key)]
            if wrong:
                yield f"the extras of {item.get('name')!r} in its {kind} have another {', '.join(wrong)} than its asset"

    license = extras["asset_license"]
    if canonical_license(license) != license:
        yield f"asset_license = {license!r}: must be SPDX in its usual spelling, or NOASSERTION"

    digest = hashlib.sha256(unicodedata.normalize("NFC", extras.get("prompt", "")).encode()).hexdigest()
    if "prompt" in extras and extras["prompt_sha256"] != digest:
        yield f"prompt_sha256 = {extras['prompt_sha256']!r}: that of the prompt is {digest}"

    if not asset.get("copyright") or not asset.get("generator"):
        yield "asset.copyright or asset.generator is empty"
    packets = document.get("extensions", {}).get(XMP, {}).get("packets", [{}])
    if packets[0].get("dc:identifier") != extras["asset_key"]:
        yield f"its XMP packet is about {packets[0].get('dc:identifier')!r}, its extras about {extras['asset_key']!r}"


METADATA = Check((GATE,), "files", lambda draft: CheckResult(check_metadata(draft.glbs.values())))
