"""A run's own copy of its manifest."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamfoundry.errors import ManifestError, Stopped
from dreamfoundry.manifest.private_copy import private_copy
from dreamfoundry.manifest.reader import read_prompts, scan


def manifest(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{path.stem}-{number}" for number in range(len(texts))]
    pq.write_table(pa.table({"prompt_id": names, "prompt": list(texts)}), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "copy").mkdir()
    return tmp_path / "copy"


def texts(path: Path) -> list[str]:
    return [prompt.text for prompt in read_prompts(path)]


@pytest.mark.parametrize("write", ["replaced", "overwritten", "removed"])
def test_what_happens_to_the_original_changes_nothing(tmp_path: Path, folder: Path, write: str) -> None:
    original = manifest(tmp_path / "tonight.parquet", "a red ball")
    copy = private_copy(str(original), folder)

    other = manifest(tmp_path / "other.parquet", "a blue cube", "a green cone")
    if write == "replaced":
        other.replace(original)
    elif write == "overwritten":
        original.write_bytes(other.read_bytes())
    else:
        original.unlink()

    assert texts(copy) == ["a red ball"]


def test_of_a_folder_the_parts_are_copied_and_the_rest_is_there_by_name(tmp_path: Path, folder: Path) -> None:
    manifest(tmp_path / "night" / "date=1" / "one.parquet", "a red ball")
    manifest(tmp_path / "night" / "two.parquet", "a blue cube")
    manifest(tmp_path / "night" / "_draft.parquet", "a draft")
    manifest(tmp_path / "night" / "old" / "three.parquet", "a cone")
    (tmp_path / "night" / "notes.txt").write_text("x" * 10_000)

    copy = private_copy(str(tmp_path / "night"), folder)

    assert texts(copy) == ["a red ball", "a blue cube"]
    assert (copy / "notes.txt").stat().st_size == 0
    original, copied = scan(tmp_path / "night"), scan(copy)
    assert {item.name for item in copied.not_read} == {"_draft.parquet", "old/", "notes.txt"}
    assert copied == original


def test_links_and_pipes_beside_the_parts_are_named_for_what_they_are(tmp_path: Path, folder: Path) -> None:
    night = manifest(tmp_path / "night" / "one.parquet", "a red ball").parent
    (tmp_path / "elsewhere").mkdir()
    os.mkfifo(night / "pipe")
    (night / "gone.txt").symlink_to(tmp_path / "absent")
    (night / "more").symlink_to(tmp_path / "elsewhere")
    (night / "loop").symlink_to(night)
    (night / "list.txt").symlink_to(night / "one.parquet")

    for place in (night, private_copy(str(night), folder)):
        found = {item.name: item.reason.split(":")[0] for item in scan(place).not_read}
        linked = "a link to a folder within the manifest's; only partitions (key=value) are entered"
        assert found == {
            "gone.txt": "a link that leads to no file",
            "list.txt": "its name does not end in .parquet",
            "loop/": linked,
            "more/": linked,
            "pipe": "no file",
        }


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_stands_in_the_place_of_a_part_is_refused_for_what_it_is(tmp_path: Path, folder: Path, kind: str) -> None:
    night = manifest(tmp_path / "night" / "one.parquet", "a red ball").parent
    if kind == "pipe":
        os.mkfifo(night / "two.parquet")
    else:
        (night / "two.parquet").symlink_to(tmp_path / "absent")

    what = "named pipe" if kind == "pipe" else "a link that leads to no file"
    for place in (night, private_copy(str(night), folder)):
        with pytest.raises(ManifestError, match=rf"two\.parquet: .*{what}.*; put a Parquet file in its place"):
            scan(place)


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent.parquet", tmp_path / "pipe"):
        with pytest.raises(ManifestError, match=path.name):
            scan(private_copy(str(path), folder), address=str(path))


def test_a_request_to_stop_ends_the_copying(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(Stopped):
        private_copy(str(manifest(tmp_path / "m.parquet", "a ball")), folder, lambda: True)
