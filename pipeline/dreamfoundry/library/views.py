"""Named views: the files of a published outcome under readable names, and the pointer to the latest of a prompt id.

    assets/{prompt_id}/{asset_key}/…    copies of blobs; `VIEW_FILE` comes last
    assets/{prompt_id}/latest.json      the pointer

All of it can be made again from the outcomes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dreamfoundry.errors import ObjectCorrupt, ObjectMissing
from dreamfoundry.identity import canonical_json
from dreamfoundry.library.library import (
    VIEW_FILE,
    Library,
    blob_key,
    decided_order,
    latest_key,
    view_key,
)
from dreamfoundry.object_store.protocol import JSON
from dreamfoundry.records import Outcome

_POINTER = re.compile(rb'{"asset_key":"([0-9a-f]{64})","prompt_id":"[^"]+","schema":"latest.v1","slug":"[^"]*"}')


def write_view(library: Library, outcome: Outcome, prompt_id: str = "") -> None:
    """Show a published outcome under readable names, then point `latest.json` at it.

    `prompt_id` is for further rows of the manifest with the same asset key; by default it is
    the outcome's own. Can be repeated at any time, in any order: the outcome that was decided
    last is the latest. Of an outcome with a lost file the view stays incomplete, and unnamed by the pointer.
    """
    prompt_id = prompt_id or outcome.prompt_id
    for name, ref in sorted(outcome.files.items()):
        source = blob_key(ref.sha256)
        try:
            library.store.copy(source, view_key(prompt_id, outcome.asset_key, name))
        except (ObjectCorrupt, ObjectMissing) as error:
            library.on_unreadable(source, error)
            return
    library.store.put(view_key(prompt_id, outcome.asset_key, VIEW_FILE), view_json(outcome, prompt_id), JSON)
    _point(library, outcome, prompt_id)


def has_view(library: Library, prompt_id: str, asset_key: str) -> bool:
    """True where the named view is complete."""
    return library.store.exists(view_key(prompt_id, asset_key, VIEW_FILE))


def views(library: Library) -> Iterator[tuple[str, str]]:
    """(prompt_id, asset_key) of every complete named view: one listing."""
    for key in library.store.list("assets/"):
        parts = key.split("/")
        if len(parts) == 4 and parts[3] == VIEW_FILE:
            yield parts[1], parts[2]


def _point(library: Library, outcome: Outcome, prompt_id: str) -> None:
    """Set the pointer, unless it names an outcome that was decided later; never a mixture of two."""
    key, data = latest_key(prompt_id), latest_json(outcome, prompt_id)
    while not library.store.create(key, data, JSON):
        try:
            standing, etag = library.store.read(key)
        except ObjectCorrupt as error:
            library.on_unreadable(key, error)
            library.store.put(key, data, JSON)
            return
        if standing == data or _is_later(library, standing, outcome, prompt_id):
            return
        if library.store.replace(key, data, JSON, etag):
            return


def _is_later(library: Library, pointer: bytes, outcome: Outcome, prompt_id: str) -> bool:
    """True where `pointer` is that of a published outcome decided after `outcome`."""
    try:
        asset_key = _asset_key_in(pointer, latest_key(prompt_id))
        other = library.get_outcome(asset_key)
    except ObjectCorrupt as error:
        library.on_unreadable(latest_key(prompt_id), error)
        return False
    return (
        other is not None
        and other.state == "published"
        and pointer == latest_json(other, prompt_id)
        and decided_order(other) > decided_order(outcome)
    )


def _asset_key_in(pointer: bytes, key: str) -> str:
    """The asset that a pointer names; ObjectCorrupt where its bytes are none of this version."""
    match = _POINTER.fullmatch(pointer)
    if match is None:
        raise ObjectCorrupt(f"{key}: its {len(pointer)} bytes are no pointer of this version; written again")
    return match[1].decode()


def view_json(outcome: Outcome, prompt_id: str) -> bytes:
    """The content of `VIEW_FILE` in a named view."""
    digests = {name: ref.sha256 for name, ref in outcome.files.items()}
    return canonical_json({"schema": "view.v1", **_identity_of(outcome, prompt_id), "files": digests})


def latest_json(outcome: Outcome, prompt_id: str) -> bytes:
    """The pointer of `prompt_id` while `outcome` is its latest."""
    return canonical_json({"schema": "latest.v1", **_identity_of(outcome, prompt_id)})


def _identity_of(outcome: Outcome, prompt_id: str) -> dict[str, str]:
    return {"prompt_id": prompt_id, "asset_key": outcome.asset_key, "slug": outcome.slug}
