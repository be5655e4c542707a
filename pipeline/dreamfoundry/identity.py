"""Names that follow from content: the field key, the asset key, and seeds.

A key is the SHA-256 of canonical JSON (sorted keys, no spaces, NFC text). What cannot change
the result by intent (slots, device, dtype, Ray, time) is in no key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dreamfoundry.records import Prompt
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe

OPTIMIZATION_VERSION = "3"
"""Declared version of what the optimisation computes; raised when its results change."""

EXPORT_VERSION = "6"
"""Declared version of the export; raised when a GLB or a picture gets other bytes, or when more is refused."""

GENERATOR = "dreamfoundry"
"""What `asset.generator` says; with the two versions above it determines the code."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class CanonicalJson(str):
    """Text that is canonical JSON already: as a value of an object it is taken as it is."""


def canonical_json(value: Any) -> bytes:
    """`value` as JSON in which equal values have equal bytes."""
    return _json_text(value).encode("utf-8")


def _json_text(value: Any) -> CanonicalJson:
    if isinstance(value, CanonicalJson):
        return value
    if isinstance(value, Mapping):
        items = sorted((_plain(str(key)), item) for key, item in value.items())
        return CanonicalJson("{" + ",".join(f"{_json_text(key)}:{_json_text(item)}" for key, item in items) + "}")
    return CanonicalJson(_ENCODER.encode(_plain(value)))


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hex characters."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


@lru_cache(maxsize=256)
def recipe_digest(recipe: Recipe) -> str:
    """Names a resolved recipe; where the weights of its prior lie is not part of it."""
    return digest({"schema": "recipe.v1", **_keyed_recipe(recipe)})


@lru_cache(maxsize=256)  # called for every row of a manifest, with few different recipes
def _keyed_recipe(recipe: Recipe) -> Mapping[str, Any]:
    resolved: dict[str, Any] = to_plain(recipe)
    resolved.pop("prior")
    # settings without effect change no key: a hash grid under a dense encoding, an occupancy grid that is off
    unused = {"encoding", "hash_grid"} if recipe.field.encoding == "dense" else set()
    unused |= {"occupancy_resolution"} if not recipe.field.occupancy_resolution else set()
    resolved["field"] = {key: value for key, value in resolved["field"].items() if key not in unused}
    return resolved


@lru_cache(maxsize=256)
def _recipe_json(recipe: Recipe) -> CanonicalJson:
    return _json_text(_keyed_recipe(recipe))


@lru_cache(maxsize=256)
def _prior_json(prior: PriorIdentity) -> CanonicalJson:
    return _json_text(_without_empty_additions(prior))


@lru_cache(maxsize=256)
def _profile_json(profile: ExportProfile) -> CanonicalJson:
    return _json_text(to_plain(profile))


def field_parts(prompt: Prompt, recipe: Recipe, prior: PriorIdentity) -> dict[str, Any]:
    """Everything that a field key is made of, as plain values: the key is their digest.

    `recipe` is the resolved one, with the overrides of the prompt in it; where the weights lie
    on this machine is not part of it, which weights they are (`prior`) is.
    """
    return _field_parts(prompt, _keyed_recipe(recipe), _without_empty_additions(prior))


def _field_parts(prompt: Prompt, recipe: Any, prior: Any) -> dict[str, Any]:
    return {
        "schema": "field_key.v1",
        "prompt": prompt.text,
        "negative_prompt": prompt.negative_text,
        "view_prompts": dict(prompt.view_texts),
        "seed": prompt.seed,
        "recipe": recipe,
        "prior": prior,
        "optimization_version": OPTIMIZATION_VERSION,
    }


def field_key(prompt: Prompt, recipe: Recipe, prior: PriorIdentity) -> str:
    """Names the optimised field: equal keys would give the same field. The digest of `field_parts`."""
    return digest(_field_parts(prompt, _recipe_json(recipe), _prior_json(prior)))


def _without_empty_additions(prior: PriorIdentity) -> Mapping[str, Any]:
    """A prior as it was published has the name that it had before there were LoRAs and other encoders."""
    named: dict[str, Any] = to_plain(prior)
    return {key: value for key, value in named.items() if value or key not in ("loras", "vae")}


def asset_parts(
    field_key: str, profile: ExportProfile, target_height_m: float, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that an asset key is made of, as plain values: the key is their digest.

    `metadata` is the metadata policy (what files say).
    """
    return _asset_parts(field_key, to_plain(profile), target_height_m, metadata)


def _asset_parts(field_key: str, profile: Any, target_height_m: float, metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": "asset_key.v1",
        "field_key": field_key,
        "profile": profile,
        "target_height_m": target_height_m,
        "metadata": dict(metadata),
        "export_version": EXPORT_VERSION,
    }


def asset_key(field_key: str, profile: ExportProfile, target_height_m: float, metadata: Mapping[str, Any]) -> str:
    """Names the delivered asset. The digest of `asset_parts`."""
    return digest(_asset_parts(field_key, _profile_json(profile), target_height_m, metadata))


def bad_row_parts(prompt_id: str, content: str) -> dict[str, Any]:
    """Everything that the key of a bad row is made of: neither its place nor its manifest."""
    return {"schema": "bad_row.v2", "prompt_id": prompt_id, "content": content}


def seed_for(field_key: str, candidate: int, purpose: str) -> int:
    """A 63-bit seed from identity, never from order: same asset and purpose, same draws."""
    text = f"{field_key}/{candidate}/{purpose}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def slug(text: str, max_chars: int = 40) -> str:
    """A file name from a prompt: a-z, 0-9 and _, starting with a letter."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", ascii_text).strip("_")[:max_chars].rstrip("_")
    if not words:
        return "asset"
    return words if words[0].isalpha() else f"a_{words}"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return _plain(to_plain(value))
    return value
