"""A small library of published assets with tags, and collections of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dreamfoundry.library.library import Library
from dreamfoundry.library.rows import Row, record_rows
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome

FILES = (
    "{}.glb",
    "{}_LOD1.glb",
    "{}_collision.glb",
    "{}_godot.glb",
    "{}_unreal.glb",
    "{}_dense.glb",
    "{}.usdz",
    "thumbnail.png",
    "asset.json",
    "validation.json",
)
"""Names of the files of an asset, without those that no engine wants differently."""


def library_in(folder: Path) -> Library:
    return Library(DirectoryStore(folder))


def publish(
    library: Library,
    name: str,
    *,
    number: int = 1,
    prompt_id: str = "",
    profile: str = "game_prop",
    tags: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    created_at: str = "2026-01-01T00:00:00Z",
) -> Outcome:
    """An asset called `name`, under `prompt_id` (by default its name); each file holds a text of its own."""
    contents = files or {form.format(name): f"{form} of {name} {number}".encode() for form in FILES}
    outcome = Outcome(
        f"{number:064x}",
        "f" * 64,
        prompt_id or name,
        f"a {name}",
        "published",
        slug=name,
        files={file: library.put_blob(data, "application/octet-stream") for file, data in contents.items()},
        provenance={"budget_profile": profile, "created_at": created_at},
    )
    assert library.publish(outcome)
    record_rows(library, f"run-{number}", [Row(outcome.prompt_id, outcome.asset_key, tuple(tags))])
    return outcome


def quarantine(library: Library, prompt_id: str, number: int) -> None:
    outcome = Outcome(
        f"{number:064x}",
        "f" * 64,
        prompt_id,
        f"a {prompt_id}",
        "quarantined",
        failure_class="empty",
        message="no view shows anything",
    )
    assert library.publish(outcome)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
