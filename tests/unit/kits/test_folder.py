"""A folder of collected assets: everything in it is ours, nothing of anybody else is touched."""

import hashlib
import json
from pathlib import Path

import pytest

from dreamfoundry.errors import ConfigError, ObjectCorrupt, ObjectMissing
from dreamfoundry.kits.choice import Filters, choose
from dreamfoundry.kits.folder import RECORD, Copied, collect, prune, read_record, superseded
from dreamfoundry.library.library import Library, blob_key
from dreamfoundry.library.projections import entries_of
from dreamfoundry.library.rows import record_aliases
from support.collected import library_in, publish, tree


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = library_in(tmp_path / "library")
    publish(library, "mug", number=1, tags=["kitchen"])
    publish(library, "chair", number=2)
    return library


def collected(library: Library, folder: Path, engine: str = "blender", **filters: list[str]) -> list[Copied]:
    with entries_of(library, library.outcomes()) as entries:
        chosen, _ = choose(entries, Filters(**{kind: frozenset(values) for kind, values in filters.items()}))
    return list(collect(library, chosen, folder, engine))


def test_files_are_those_of_the_library_each_asset_in_a_folder_of_its_name(library: Library, tmp_path: Path) -> None:
    done = collected(library, tmp_path / "props")

    files = tree(tmp_path / "props")
    assert files["mug/mug_LOD1.glb"] == b"{}_LOD1.glb of mug 1"
    assert sorted({path.partition("/")[0] for path in files}) == ["chair", RECORD, "dreamfoundry_blender.py", "mug"]
    assert [(one.name, one.num_copied, one.num_there) for one in done] == [("chair", 5, 0), ("mug", 5, 0)]


def test_a_repetition_copies_nothing_and_changes_no_byte(library: Library, tmp_path: Path) -> None:
    collected(library, tmp_path / "props")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (tmp_path / "props").rglob("*.glb")}

    again = collected(library, tmp_path / "props")

    assert [(one.num_copied, one.num_there) for one in again] == [(0, 5), (0, 5)]
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in before} == before


def test_the_record_names_tags_and_digests_and_keeps_what_was_collected_before(
    library: Library, tmp_path: Path
) -> None:
    collected(library, tmp_path / "props", prompt_ids=["chair"])
    collected(library, tmp_path / "props", prompt_ids=["mug"])

    record = json.loads((tmp_path / "props" / RECORD).read_bytes())
    assert sorted(record["assets"]) == ["chair", "mug"]
    assert record["assets"]["mug"] == {
        "asset_key": f"{1:064x}",
        "profile": "game_prop",
        "prompt_ids": ["mug"],
        "tags": ["kitchen"],
    }
    assert {path for path in tree(tmp_path / "props") if path != RECORD} == record["files"].keys()


def test_a_file_of_somebody_else_is_named_and_nothing_is_copied(library: Library, tmp_path: Path) -> None:
    mine = tmp_path / "props" / "mug" / "mug.glb"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"my own mug")

    with pytest.raises(ConfigError, match=r"not collected, or were changed since: mug/mug\.glb; move them away"):
        collected(library, tmp_path / "props")

    assert tree(tmp_path / "props") == {"mug/mug.glb": b"my own mug"}


def test_a_file_where_a_folder_has_to_be_is_named_and_nothing_is_copied(library: Library, tmp_path: Path) -> None:
    (tmp_path / "props").mkdir()
    (tmp_path / "props" / "mug").write_bytes(b"hi")

    with pytest.raises(ConfigError, match=r"changed since: mug; move them away"):
        collected(library, tmp_path / "props")

    assert tree(tmp_path / "props") == {"mug": b"hi"}


def test_a_file_that_was_changed_after_it_was_collected_is_kept(library: Library, tmp_path: Path) -> None:
    collected(library, tmp_path / "props")
    (tmp_path / "props" / "mug" / "asset.json").write_bytes(b"my notes")

    with pytest.raises(ConfigError, match=r"mug/asset\.json"):
        collected(library, tmp_path / "props")

    assert (tmp_path / "props" / "mug" / "asset.json").read_bytes() == b"my notes"


def test_an_older_script_of_ours_is_replaced(library: Library, tmp_path: Path) -> None:
    collected(library, tmp_path / "props")
    record, script = tmp_path / "props" / RECORD, tmp_path / "props" / "dreamfoundry_blender.py"
    digest = json.loads(record.read_bytes())["files"]["dreamfoundry_blender.py"]
    old = hashlib.sha256(b"old").hexdigest()
    script.write_bytes(b"old")
    record.write_text(record.read_text().replace(digest, old))

    collected(library, tmp_path / "props")

    assert script.read_bytes() != b"old"


def test_files_that_vanished_come_back(library: Library, tmp_path: Path) -> None:
    collected(library, tmp_path / "props")
    (tmp_path / "props" / "mug" / "mug.glb").unlink()

    again = collected(library, tmp_path / "props")

    assert {one.name: (one.num_copied, one.num_there) for one in again} == {"chair": (0, 5), "mug": (1, 4)}


def test_a_folder_is_for_one_engine(library: Library, tmp_path: Path) -> None:
    collected(library, tmp_path / "props", "blender")

    with pytest.raises(ConfigError, match="collected for blender, not for unity"):
        collected(library, tmp_path / "props", "unity")


def test_a_record_that_is_not_ours_is_refused(library: Library, tmp_path: Path) -> None:
    (tmp_path / "props").mkdir()
    (tmp_path / "props" / RECORD).write_text("{}")

    with pytest.raises(ConfigError, match="into another folder"):
        collected(library, tmp_path / "props")


def test_two_assets_of_one_name_are_refused_before_one_hides_the_other(library: Library, tmp_path: Path) -> None:
    publish(library, "mug", number=3, profile="game_hero")

    with pytest.raises(ConfigError, match=r"mug: the files of 2 chosen assets .* mug \(game_hero\).*--profile"):
        collected(library, tmp_path / "props")


def test_a_name_that_leads_out_of_the_folder_is_refused(library: Library, tmp_path: Path) -> None:
    publish(library, "..", number=3, files={"asset.json": b"x"})

    with pytest.raises(ObjectCorrupt, match="in the place of a name"):
        collected(library, tmp_path / "props")


def test_a_library_that_lacks_a_file_says_which(library: Library, tmp_path: Path) -> None:
    outcome = publish(library, "sofa", number=3)
    library.store.delete(blob_key(outcome.files["sofa.glb"].sha256))

    with pytest.raises(ObjectMissing):
        collected(library, tmp_path / "props")


def test_without_an_engine_every_file_is_copied_and_no_script(library: Library, tmp_path: Path) -> None:
    collected(library, tmp_path / "props", "", prompt_ids=["mug"])

    assert len(tree(tmp_path / "props")) == 10 + 1


@pytest.mark.parametrize("place", ["", "assets", "assets/mug/1"])
def test_a_folder_in_a_library_is_refused(library: Library, tmp_path: Path, place: str) -> None:
    home = tmp_path / "library"
    (home / "blobs").mkdir(exist_ok=True)
    before = tree(home)

    with pytest.raises(ConfigError, match=r"lies in the library .*: name a folder outside"):
        collected(library, home / place)
    assert tree(home) == before


def test_a_link_out_of_the_folder_is_refused(library: Library, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "props").mkdir()
    (tmp_path / "props" / "mug").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigError, match=r"is a link out of .*: remove it"):
        collected(library, tmp_path / "props")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_older_export_of_all_its_prompts_is_superseded_and_pruned_but_for_what_was_changed(
    library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "props"
    collected(library, folder)
    (folder / "mug" / "mug_LOD1.glb").write_bytes(b"painted by hand")
    publish(library, "mug_again", number=9, prompt_id="mug", created_at="2026-02-01T00:00:00Z")
    collected(library, folder)

    with entries_of(library, library.outcomes()) as entries:
        chosen, _ = choose(entries, Filters())
    record = read_record(folder, "blender")
    older = superseded(record, chosen)
    changed = prune(folder, record, older.keys())

    assert older == {"mug": "mug_again"}
    assert changed == ["mug/mug_LOD1.glb"]
    assert [path for path in tree(folder) if path.startswith("mug/")] == changed
    assert sorted(read_record(folder, "blender").assets) == ["chair", "mug_again"]
    assert not any(path.startswith("mug/") for path in read_record(folder, "blender").files)


def test_an_asset_that_answers_another_prompt_too_is_not_superseded(library: Library, tmp_path: Path) -> None:
    record_aliases(library, "later", [("cup", f"{1:064x}")])
    collected(library, tmp_path / "props")
    publish(library, "mug_again", number=9, prompt_id="mug", created_at="2026-02-01T00:00:00Z")

    with entries_of(library, library.outcomes()) as entries:
        chosen, _ = choose(entries, Filters())

    assert superseded(read_record(tmp_path / "props", "blender"), chosen) == {}
