"""Metadata of an asset: what every one of its files says about it, and the words derived from that."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any

from dreamfoundry.identity import EXPORT_VERSION, GENERATOR, OPTIMIZATION_VERSION
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import DEFAULT_POLICY, NO_ASSERTION, MetadataPolicy
from dreamfoundry.settings.prior_identity import LoraIdentity, PriorIdentity, VaeIdentity

METADATA_SCHEMA = "dreamfoundry.asset_metadata.v1"

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for a medium made by a trained model: the machine-readable AI mark."""

SHORT_FORM = ("asset_key", "ai_generated", "digital_source_type", "asset_license", "research_only")
"""Keys of the metadata that stand on every node and mesh too."""


def asset_metadata(
    prompt: Prompt,
    prior: PriorIdentity,
    field_key: str,
    asset_key: str,
    recipe_digest: str,
    profile: ExportProfile,
    policy: MetadataPolicy = DEFAULT_POLICY,
) -> dict[str, Any]:
    """The metadata written into every file of an asset: only what its asset key determines.

    Licences are SPDX; lengths are metres. The prompt and its other wordings are included only where
    `policy` allows it, its SHA-256 (of NFC text as UTF-8) always.
    """
    wording = {
        "prompt": prompt.text,
        "negative_prompt": prompt.negative_text,
        "view_prompts": dict(prompt.view_texts),
    }
    return {
        "schema": METADATA_SCHEMA,
        "ai_generated": True,
        "digital_source_type": DIGITAL_SOURCE_TYPE,
        "generator": GENERATOR,
        "optimization_version": OPTIMIZATION_VERSION,
        "export_version": EXPORT_VERSION,
        "asset_key": asset_key,
        "field_key": field_key,
        "recipe_digest": recipe_digest,
        **(wording if policy.embed_prompt else {}),
        "prompt_sha256": prompt_sha256(prompt.text),
        "seed": prompt.seed,
        "prior": {
            "id": prior.prior_id,
            "revision": prior.revision,
            "digest": prior.digest,
            "license": prior.license,
            # absent rather than empty: keys of assets made before there were such stay what they are
            **({"loras": [_lora_metadata(lora) for lora in prior.loras]} if prior.loras else {}),
            **({"vae": _vae_metadata(prior.vae)} if prior.vae else {}),
        },
        "asset_license": policy.asset_license,
        "copyright_holder": policy.copyright_holder,
        "rights_url": policy.rights_url,
        "research_only": prior.research_only,
        "export_profile": profile.name,
        "target_height_m": prompt.target_height_m,
        "units": "m",
    }


def _lora_metadata(lora: LoraIdentity) -> dict[str, Any]:
    return {"id": lora.lora_id, "digest": lora.digest, "license": lora.license, "weight": lora.weight}


def _vae_metadata(vae: VaeIdentity) -> dict[str, Any]:
    return {"id": vae.vae_id, "digest": vae.digest, "license": vae.license}


def prompt_sha256(text: str) -> str:
    """SHA-256 of a prompt, as 64 hex characters: of its NFC form in UTF-8."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()


def copyright_line(metadata: Mapping[str, object]) -> str:
    """One line for people; `metadata` holds the same facts for programs."""
    words = [
        f"(c) {metadata['copyright_holder']}" if metadata.get("copyright_holder") else "",
        "AI-generated",
        f"license {metadata.get('asset_license', NO_ASSERTION)}",
        "for research only" if metadata.get("research_only") else "",
    ]
    return "; ".join(filter(None, words))


def short_form(metadata: Mapping[str, object], name: str) -> dict[str, object]:
    """The least that each object says of itself: the asset called `name`, its rights, and where the rest stands.

    Programs that hold many assets keep what is said of an object, while the next import takes the place of what is
    said of a file or scene.
    """
    told = {key: metadata[key] for key in SHORT_FORM if key in metadata}
    return {"id": name, **told, "sidecar": "asset.json"}


def credits(metadata: Mapping[str, object], name: str) -> dict[str, object]:
    """The four keys that Sketchfab writes into `asset.extras`, which viewers show to people."""
    license = str(metadata.get("asset_license", NO_ASSERTION))
    address = metadata.get("rights_url")
    generator = metadata.get("generator", GENERATOR)
    return {
        "title": metadata.get("prompt", name),
        "author": metadata.get("copyright_holder") or generator,
        "license": f"{license} ({address})" if address else license,
        "source": f"{generator}, AI-generated, asset {metadata.get('asset_key', name)}",
    }
