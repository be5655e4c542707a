"""One bad object costs its own row at most: every kind of object of a library, with every damage, under a night."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dreamfoundry.library import catalog, contact_sheet
from dreamfoundry.library.audit.audit import Audit
from dreamfoundry.library.audit.defects import Defect
from dreamfoundry.library.audit.repair import repair
from dreamfoundry.library.checkpoints import Checkpoints
from dreamfoundry.library.leases import Leases
from dreamfoundry.library.library import RUNS, Library, blob_key, field_record_key, latest_key, outcome_key
from dreamfoundry.library.lost_rows import LOST_ROWS, LostRowsRecord, record_lost_rows
from dreamfoundry.library.projections import TURN
from dreamfoundry.library.rows import ALIASES, BAD_ROWS, ROWS
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import LostRows, Outcome
from dreamfoundry.run import report
from support.tiny_night import Night, night

LAST_NIGHT = {"one": "a red mushroom", "twin": "a red mushroom", "two": "a blue rocket", "mended": "a yellow chair"}
TONIGHT = {**LAST_NIGHT, "again": "a red mushroom", "three": "a green car"}
NEW_ROW, PROFILE, OTHER_PROFILE = "three", "preview", "game_prop"

MADE_OF_BYTES = ("blob", "snapshot", "checkpoint", "catalog", "page", "turn", "pointer")

COLUMNS: dict[str, Any] = {"tags": [["red"], ["red"], [], [], [], []]}
RUN_RECORDS = {RUNS: report.parse}

NONE: frozenset[str] = frozenset()
DAMAGES = ("missing", "empty", "one bit", "another version", "unreadable")
PRESENT = frozenset(DAMAGES) - {"missing"}
"""Damages of an object that is still there."""


@dataclass(frozen=True)
class Kind:
    """A kind of object: which one is damaged, the profile of the night that meets it, and what the night makes of it.

    The night names it in note, log and report after the damages `named`. After those in `kept` it stays as it is.
    """

    key: Callable[[Library], str]
    named: frozenset[str] = PRESENT
    kept: frozenset[str] = NONE
    profile: str = PROFILE


def outcome_of(library: Library, prompt_id: str) -> Outcome:
    (found,) = (outcome for outcome in library.outcomes() if outcome.prompt_id == prompt_id and outcome.field_key)
    return found


def first(prefix: str) -> Callable[[Library], str]:
    """The first key below `prefix`."""
    return lambda library: next(iter(library.store.list(prefix)))


def last(prefix: str) -> Callable[[Library], str]:
    """The last key below `prefix`."""
    return lambda library: [*library.store.list(prefix)][-1]


def run_record(name: str) -> Callable[[Library], str]:
    return lambda library: next(key for key in library.store.list("runs/") if key.endswith(name))


def key_of_snapshot(library: Library) -> str:
    snapshot = outcome_of(library, "one").snapshot
    assert snapshot is not None
    return blob_key(snapshot.sha256)


def key_of_outcome(library: Library) -> str:
    return outcome_key(outcome_of(library, "one").asset_key)


def key_of_glb(library: Library) -> str:
    return blob_key(outcome_of(library, "one").files["a.glb"].sha256)


def key_of_field(library: Library) -> str:
    return field_record_key(outcome_of(library, "one").field_key)


KINDS: dict[str, Kind] = {
    # a night copies blobs within the store: other bytes are for `verify` to find
    "blob": Kind(key_of_glb, frozenset({"missing"}), kept=frozenset(DAMAGES)),
    "snapshot": Kind(key_of_snapshot, frozenset(DAMAGES), profile=OTHER_PROFILE),
    "field record": Kind(key_of_field, kept=frozenset({"another version"}), profile=OTHER_PROFILE),
    "lease": Kind(first("leases/")),
    "alias": Kind(first(ALIASES), kept=PRESENT),
    "row": Kind(first(ROWS), kept=PRESENT),
    "bad row": Kind(first(BAD_ROWS), kept=PRESENT),
    "lost rows": Kind(last(LOST_ROWS), kept=PRESENT),
    "outcome": Kind(key_of_outcome, kept=PRESENT),
    "outcome of another manifest": Kind(key_of_outcome, kept=PRESENT, profile=OTHER_PROFILE),
    "checkpoint": Kind(last("checkpoints/")),
    # no night reads what other runs say of themselves
    "report": Kind(run_record("report.json"), NONE, kept=PRESENT),
    "progress": Kind(run_record("progress.json"), NONE, kept=PRESENT),
    "pointer": Kind(lambda library: latest_key("one"), profile=OTHER_PROFILE),
    "catalog": Kind(lambda library: catalog.KEY, frozenset(DAMAGES)),
    # a page whose head is as it was, and the content of the turn, are written again without having been read
    "page": Kind(lambda library: contact_sheet.KEY, PRESENT - {"one bit", "another version"}),
    "turn": Kind(lambda library: TURN, frozenset({"unreadable"})),
}


def checkpoint(field_key: str, version: int = 1) -> bytes:
    header = {"format": f"checkpoint.v{version}", "field_key": field_key}
    file = io.BytesIO()
    np.savez(file, header=np.str_(json.dumps(header)))
    return file.getvalue()


@pytest.fixture(scope="module")
def last_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of two nights, with a lease and two checkpoints of a field that a killed run has left."""
    folder = tmp_path_factory.mktemp("last-night")
    library = Library(DirectoryStore(folder / "library"))
    tags = [["red"], ["red"], [], []]
    night(folder, LAST_NIGHT, tags=tags, seed=[0, 0, 0, -1])
    lost = LostRows("manifest.parquet", 0, 4, 5, "damaged")
    record_lost_rows(library, "20260101T000000Z-aaaaaa", LostRowsRecord("manifest.parquet", (lost,)))
    night(folder, LAST_NIGHT, tags=tags)

    shutil.copytree(folder, folder / "tonight")
    night(folder / "tonight", TONIGHT)
    field = outcome_of(Library(DirectoryStore(folder / "tonight" / "library")), NEW_ROW).field_key
    shutil.rmtree(folder / "tonight")
    assert Leases(library.store).acquire(field, "a killed run", ttl_s=0.0) is not None
    for num_steps in (10, 20):
        Checkpoints(library.store).save(field, 1, num_steps, checkpoint(field))
    assert defects(library) == []
    return folder


def damage(library: Library, key: str, how: str) -> None:
    """Do this to an object, behind the back of everybody. A file that reads as EIO stands for a bad sector."""
    data, path = library.store.get(key), Path(library.store.url) / key
    path.unlink()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "one bit":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 0x80]) + data[middle + 1 :])
    elif how == "another version":
        path.write_bytes(data.replace(b".v1", b".v9") if b".v1" in data else b"<version 9>" + data)
    elif how == "unreadable":
        path.symlink_to("/proc/self/mem")


def defects(library: Library) -> list[Defect]:
    return list(Audit(library, RUN_RECORDS).defects())


def rows_of(library: Library) -> dict[tuple[str, str], dict[str, Any]]:
    rows = pq.read_table(io.BytesIO(library.store.get(catalog.KEY))).to_pylist()
    return {(row["prompt_id"], row["budget_profile"]): row for row in rows}


def require_named(key: str, ended: Night) -> None:
    assert key in ended.told, "as a note"
    assert key in ended.log, "as a log event"
    assert key in ended.report.message, "in the report"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMFOUNDRY_LOG_EVENTS", "on")


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=() if how == "empty" else pytest.mark.slow) for how in DAMAGES]
)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.usefixtures("events")
def test_47_a_damaged_object_costs_its_own_row_at_most(last_night: Path, tmp_path: Path, name: str, how: str) -> None:
    kind, folder = KINDS[name], tmp_path / "night"
    shutil.copytree(last_night, folder)
    library = Library(DirectoryStore(folder / "library"), lambda key, error: None)
    key, own = kind.key(library), outcome_of(library, "one").asset_key
    damage(library, key, how)

    ended = night(folder, TONIGHT, kind.profile, **COLUMNS)

    assert ended.report.exit_code in (0, 3), ended.told
    assert (ended.report.pending, ended.report.lost_rows) == (0, 0)
    shown = rows_of(library)
    assert {shown[neighbour, kind.profile]["state"] for neighbour in ("two", "three")} == {"published"}
    if how in kind.named:
        require_named(key, ended)
    wrong = {defect.key for defect in defects(library)}
    assert (key in wrong) == (how in kind.kept)
    others = {other for other in wrong - {key} if own not in other and other != latest_key("again")}
    assert others == set(), "catalog and page are current, and only views of the asset itself may have suffered"

    list(repair(library, "29991231T235959Z-aaaaaa", RUN_RECORDS))
    night(folder, TONIGHT, PROFILE, **COLUMNS)
    after = night(folder, TONIGHT, kind.profile, **COLUMNS)
    if how == "another version" and name not in MADE_OF_BYTES:
        assert {key} & wrong <= {defect.key for defect in defects(library) if defect.kind == "version"}
    else:
        assert defects(library) == []
        assert after.report.exit_code == 0, after.told


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("profile", [PROFILE, OTHER_PROFILE])
def test_47_any_bit_of_any_object_costs_its_own_row_at_most(
    last_night: Path, tmp_path: Path, seed: int, profile: str, tried: Callable[[], None]
) -> None:
    tried()
    draw, folder = random.Random(seed), tmp_path / "night"
    shutil.copytree(last_night, folder)
    library = Library(DirectoryStore(folder / "library"), lambda key, error: None)
    # half of them in records, of which there are fewer
    keys = [key for key in library.store.list() if seed % 2 or not key.startswith(("blobs/", "assets/"))]
    key = draw.choice(keys)
    data, path = bytearray(library.store.get(key)), Path(library.store.url) / key
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.unlink()
    path.write_bytes(data)

    ended = night(folder, TONIGHT, profile, **COLUMNS)

    assert ended.report.exit_code in (0, 3), key
    assert ended.report.pending == 0
    shown = rows_of(library)
    published = [name for name in ("one", "two", NEW_ROW) if shown.get((name, profile), {}).get("state") == "published"]
    assert len(published) >= 2
    list(repair(library, "29991231T235959Z-aaaaaa", RUN_RECORDS))
    classes = night(folder, TONIGHT, profile, **COLUMNS).report.failure_classes
    assert classes.keys() <= {"worker_died"}, "a count of deaths that nobody died"
