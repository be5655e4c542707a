"""Copies of chosen assets in a folder, and the record of what was copied.

A file that lies there with other bytes is replaced only if the record says that these are ours; anything else is
somebody's work, and nothing is copied before it has been moved away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from dreamfoundry.errors import ConfigError, ObjectCorrupt
from dreamfoundry.kits.choice import Chosen, profile_of
from dreamfoundry.kits.engines import ENGINES
from dreamfoundry.library.library import Library
from dreamfoundry.library.record_json import from_json, to_json
from dreamfoundry.object_store.protocol import at_once, require_key
from dreamfoundry.records import BlobRef

RECORD = "collection.json"
SCHEMA = "collection.v1"

MAX_FILES = 3
"""Files that a refusal names."""


@dataclass(frozen=True)
class CollectedAsset:
    """An asset in the folder of its own name, as its rows describe it; the rest is in its asset.json."""

    asset_key: str
    profile: str
    prompt_ids: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Collection:
    """The record of a folder: for which engine, the SHA-256 of every file by its path, the assets by name."""

    engine: str
    files: Mapping[str, str] = field(default_factory=dict)
    assets: Mapping[str, CollectedAsset] = field(default_factory=dict)


@dataclass(frozen=True)
class Copied:
    """One asset of a collection: how many of its files were copied, and how many there were already."""

    name: str
    profile: str
    num_copied: int
    num_there: int
    num_bytes: int


@dataclass(frozen=True)
class Transfer:
    """One asset that is to lie in the folder: its files by path, and those that are there already."""

    chosen: Chosen
    files: Mapping[str, BlobRef]
    there: frozenset[str]


def collect(library: Library, chosen: Sequence[Chosen], folder: Path, engine: str) -> Iterator[Copied]:
    """Copy the files that `engine` wants into `folder`/name/, the kit beside; yields each asset when it is there.

    The record comes last, with what it said before about other assets. ConfigError, before anything is copied,
    where two assets have one name, or a file of somebody else is in the way; ObjectMissing, ObjectCorrupt where
    the library lacks a file.
    """
    _require_no_library(folder)
    record = read_record(folder, engine)
    wanted = [(one, _files(one, engine)) for one in _require_own_names(chosen)]
    kit = ENGINES[engine].kit_bytes()
    kits = {ENGINES[engine].place: hashlib.sha256(kit).hexdigest()} if kit else {}

    digests = {path: ref.sha256 for _, files in wanted for path, ref in files.items()} | kits
    there = _require_no_strangers(folder, digests, record)
    transfers = [Transfer(one, files, there.intersection(files)) for one, files in wanted]

    yield from at_once(lambda transfer: _copy(library, folder, transfer), transfers)
    for path in kits.keys() - there:
        _write(folder / path, kit)
    assets = {
        one.outcome.slug: CollectedAsset(one.outcome.asset_key, profile_of(one.outcome), one.prompt_ids, one.tags)
        for one in chosen
    }
    merged = Collection(engine, {**record.files, **digests}, {**record.assets, **assets})
    _write(folder / RECORD, to_json(merged, SCHEMA))


def read_record(folder: Path, engine: str) -> Collection:
    """The record of `folder`, an empty one where there is none; ConfigError for one that is not ours or not for it."""
    try:
        record = from_json(Collection, SCHEMA, (folder / RECORD).read_bytes())
    except FileNotFoundError:
        return Collection(engine)
    except ObjectCorrupt as error:
        raise ConfigError(f"{folder / RECORD}: {error}; collect into another folder") from None
    if record.engine != engine:
        names = [name or "no engine in particular" for name in (record.engine, engine)]
        raise ConfigError(f"{folder} was collected for {names[0]}, not for {names[1]}: name another folder")
    return record


def superseded(record: Collection, chosen: Sequence[Chosen]) -> dict[str, str]:
    """Names of assets in `record` all of whose prompts have another export of that profile now, with its name."""
    now = {(prompt_id, profile_of(one.outcome)): one.outcome for one in chosen for prompt_id in one.prompt_ids}
    found = {}
    for name, asset in record.assets.items():
        newer = [now.get((prompt_id, asset.profile)) for prompt_id in asset.prompt_ids]
        if newer and all(one is not None and one.asset_key != asset.asset_key for one in newer):
            found[name] = str(newer[0].slug if newer[0] else "")
    return found


def prune(folder: Path, record: Collection, names: Set[str]) -> list[str]:
    """Take the assets called `names` out of `folder` and its record; the paths of changed files, which stay."""
    files = dict(record.files)
    changed = []
    for path in [path for path in files if path.partition("/")[0] in names]:
        if _digest(folder / path) == files.pop(path):
            (folder / path).unlink()
        elif os.path.lexists(folder / path):
            changed.append(path)

    for name in names:
        with contextlib.suppress(OSError):  # somebody's files are in it, or it has gone
            (folder / name).rmdir()
    assets = {name: asset for name, asset in record.assets.items() if name not in names}
    _write(folder / RECORD, to_json(Collection(record.engine, files, assets), SCHEMA))
    return changed


def _require_no_library(folder: Path) -> None:
    """ConfigError for a folder in a library, which nobody else writes to."""
    for place in (folder.resolve(), *folder.resolve().parents):
        if (place / "outcomes").is_dir() and (place / "blobs").is_dir():
            raise ConfigError(f"{folder} lies in the library {place}: name a folder outside")


def _require_own_names(chosen: Sequence[Chosen]) -> Sequence[Chosen]:
    by_name = defaultdict(list)
    for one in chosen:
        by_name[one.outcome.slug].append(one.outcome)
    for name, outcomes in by_name.items():
        if len(outcomes) > 1:
            titles = [f"{outcome.prompt_id} ({profile_of(outcome)})" for outcome in outcomes]
            raise ConfigError(
                f"{name}: the files of {len(outcomes)} chosen assets have that name: {', '.join(titles[:MAX_FILES])}; "
                "choose one of them with --profile or --prompt-id, or export them again: names are unique now"
            )
    return chosen


def _files(chosen: Chosen, engine: str) -> dict[str, BlobRef]:
    outcome = chosen.outcome
    names = ENGINES[engine].wanted(outcome.files, outcome.slug)
    try:
        return {require_key(f"{outcome.slug}/{name}"): outcome.files[name] for name in names}
    except ValueError as error:
        raise ObjectCorrupt(f"outcome {outcome.asset_key} of {outcome.prompt_id}: {error}") from None


def _require_no_strangers(folder: Path, digests: Mapping[str, str], record: Collection) -> frozenset[str]:
    """The paths that hold the right bytes already; ConfigError where others stand that the record does not name."""
    there, strangers = set(), []
    for path, sha256 in digests.items():
        if not (folder / path).parent.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"{(folder / path).parent} is a link out of {folder}: remove it, or name another folder")
        if (blocked := _file_in_the_way(folder, path)) is not None:
            strangers.append(blocked)
            continue
        actual = _digest(folder / path)
        if actual == sha256:
            there.add(path)
        elif actual not in ("", record.files.get(path)):
            strangers.append(path)

    if strangers:
        strangers = list(dict.fromkeys(strangers))
        shown = ", ".join(strangers[:MAX_FILES])
        left = len(strangers) - MAX_FILES
        raise ConfigError(
            f"{folder} holds files that were not collected, or were changed since: {shown}"
            + (f" and {left} more" if left > 0 else "")
            + "; move them away, or name another folder"
        )
    return frozenset(there)


def _file_in_the_way(folder: Path, path: str) -> str | None:
    """The file that stands where `path` needs a folder."""
    above = (Path(path).parents[number] for number in range(len(Path(path).parents) - 1))
    return next(
        (str(place) for place in above if os.path.lexists(folder / place) and not (folder / place).is_dir()), None
    )


def _digest(path: Path) -> str:
    """SHA-256 of a file, "" where there is nothing, "other" for what is no file."""
    if not os.path.lexists(path):
        return ""
    if not path.is_file():
        return "other"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(library: Library, folder: Path, transfer: Transfer) -> Copied:
    missing = [path for path in transfer.files if path not in transfer.there]
    for path in missing:
        _write(folder / path, library.get_blob(transfer.files[path]))

    outcome = transfer.chosen.outcome
    num_bytes = sum(transfer.files[path].num_bytes for path in missing)
    return Copied(outcome.slug, profile_of(outcome), len(missing), len(transfer.there), num_bytes)


def _write(path: Path, data: bytes) -> None:
    """Let `path` hold `data`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".collect-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
