"""Stage 6, provenance in a standard's words: an XMP packet in every GLB (KHR_xmp_json_ld).

Readers that know the extension show title, rights and the AI mark; all others pass over it, because it
is used but not required. The packet holds only what the asset key determines, so there is no date in it.
Words are those of Dublin Core, XMP Rights Management and IPTC (2025.1, with its fields for AI).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.identity import canonical_json

EXTENSION = "KHR_xmp_json_ld"

NAMESPACES: Mapping[str, str] = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
}


def packet(metadata: Mapping[str, Any], rights: str) -> dict[str, Any]:
    """`metadata` (see `asset.files.metadata.asset_metadata`) as JSON-LD about the file itself.

    `rights` is one line for people. What `metadata` does not tell (a confidential prompt, a holder
    that nobody named) is left out.
    """
    name = metadata.get("prompt", f"asset {metadata['asset_key'][:8]}")
    prior = metadata["prior"]
    loras = [f"LoRA {lora['id']}" for lora in prior.get("loras", ())]
    vae = [f"VAE {prior['vae']['id']}"] if "vae" in prior else []
    models = " and ".join([prior["id"], *loras, *vae])

    # empty values are left out below, so that no reader shows a blank field
    values = {
        "@context": dict(NAMESPACES),
        "@id": "",
        "dc:title": _alternatives(name),
        "dc:description": _alternatives(f"AI-generated 3D model: {name}"),
        "dc:identifier": metadata["asset_key"],
        "dc:creator": {"@list": [metadata["copyright_holder"] or metadata["generator"]]},
        "dc:format": "model/gltf-binary",
        "dc:rights": _alternatives(rights),
        "xmpRights:Owner": {"@set": [metadata["copyright_holder"]]} if metadata["copyright_holder"] else None,
        "xmpRights:WebStatement": metadata["rights_url"],
        "Iptc4xmpExt:DigitalSourceType": metadata["digital_source_type"],
        "Iptc4xmpExt:AISystemUsed": f"{metadata['generator']} with {models}",
        "Iptc4xmpExt:AISystemVersionUsed": prior["revision"] or prior["digest"],
        "Iptc4xmpExt:AIPromptInformation": metadata.get("prompt"),
    }
    return {key: value for key, value in values.items() if value or key == "@id"}


def stamped(glb: bytes, packet: Mapping[str, Any]) -> bytes:
    """`glb` with `packet` about the whole file."""
    document, binary = split_glb(glb)
    document["extensionsUsed"] = sorted({*document.get("extensionsUsed", ()), EXTENSION})
    document.setdefault("extensions", {})[EXTENSION] = {"packets": [packet]}
    document["asset"].setdefault("extensions", {})[EXTENSION] = {"packet": 0}
    return join_glb(canonical_json(document), binary)


def _alternatives(text: str) -> dict[str, Any]:
    """A text of which there could be several, one per language; this one is for all."""
    return {"@type": "rdf:Alt", "rdf:_1": {"@language": "x-default", "@value": text}}
