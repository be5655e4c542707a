"""Keys of an outcome, made again from the request in it, and compared with what its sidecar says of itself.

A wrong asset under a right key is the one damage that no digest of bytes shows.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping

from dreamfoundry.identity import digest
from dreamfoundry.records import Outcome

SIDECAR_FILE = "asset.json"


def has_request(outcome: Outcome) -> bool:
    """True unless the outcome is of a version that did not record requests."""
    return "request" in outcome.provenance


def request_problems(outcome: Outcome) -> list[str]:
    """Contradictions between `outcome` and the request in it, which makes its keys and names its prompt."""
    if not has_request(outcome):
        return []

    parts = _table(outcome.provenance["request"])
    asset, field = parts.get("asset"), parts.get("field")
    made = {"asset": digest(asset), "field": digest(field) if field is not None else ""}
    problems = [
        f"stands under the {name} key {key or 'of nothing'}, but its request makes {made[name] or 'none'}"
        for name, key in (("asset", outcome.asset_key), ("field", outcome.field_key))
        if made[name] != key
    ]

    asked = _table(asset).get("field_key", outcome.field_key)
    if asked != outcome.field_key:
        problems.append(f"has the field key {outcome.field_key}, but its request asks for {asked}")
    if isinstance(field, Mapping) and field.get("prompt") != outcome.prompt:
        problems.append(f"shows the prompt {outcome.prompt!r}, but its request asks for {field.get('prompt')!r}")
    return problems


def sidecar_problems(outcome: Outcome, sidecar: bytes) -> list[str]:
    """Contradictions between `outcome` and its `asset.json`: the keys and the prompt there must be its own."""
    try:
        metadata = _table(_table(json.loads(sidecar)).get("metadata"))
    except ValueError:
        return [f"has an {SIDECAR_FILE} that is no JSON"]

    prompt = unicodedata.normalize("NFC", outcome.prompt)
    own = {
        "asset_key": outcome.asset_key,
        "field_key": outcome.field_key,
        "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
    }
    return [
        f"has files of another asset: {name} = {metadata[name]!r} in its {SIDECAR_FILE}, must be {value}"
        for name, value in own.items()
        if metadata.get(name, value) != value
    ]


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
