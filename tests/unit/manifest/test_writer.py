"""Several sources become one manifest; what is at its place already is never harmed by a refusal."""

import errno
import os
from pathlib import Path

import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import read_prompts
from dreamfoundry.manifest.writer import make_manifest
from support.sources import write


def ids(target: Path) -> list[str]:
    return [prompt.prompt_id for prompt in read_prompts(target)]


def refusal(sources: list[str], target: str | Path) -> str:
    with pytest.raises(ManifestError) as refused:
        make_manifest(sources, str(target))
    return str(refused.value)


def test_sources_of_all_kinds_become_one_manifest_in_their_order(tmp_path: Path) -> None:
    sources = [
        write(tmp_path, "b.txt", "a mug\na car\n"),
        write(tmp_path, "a.csv", "prompt,seed\na mug,7\n"),
        write(tmp_path, "c.json", '[{"prompt": "a hat", "tags": ["x"]}]'),
    ]
    made = make_manifest(sources, str(tmp_path / "new" / "folder" / "m.parquet"))

    assert made.num_prompts == 4
    assert ids(tmp_path / "new" / "folder" / "m.parquet") == ["a_mug", "a_car", "a_mug-2", "a_hat"]
    assert os.listdir(tmp_path / "new" / "folder") == ["m.parquet"]


def test_ids_are_unique_across_sources(tmp_path: Path) -> None:
    first = write(tmp_path, "a.csv", "prompt_id,prompt\nx,a mug\ny,a car\n")
    second = write(tmp_path, "b.csv", "prompt_id,prompt\ny,a car\nx,a hat\n")

    assert refusal([first, second], tmp_path / "m.parquet") == (
        f"{second}, line 3 (x): prompt_id stands in {first}, line 2 too, with other content: "
        "give each prompt an id of its own"
    )


def test_all_faults_of_all_sources_are_told(tmp_path: Path) -> None:
    sources = [
        write(tmp_path, "a.csv", "prompt,seed\na mug,x\n"),
        str(tmp_path / "absent.txt"),
        write(tmp_path, "b.txt", "a car\nx\0y\n"),
        write(tmp_path, "c.txt", "\n"),
    ]
    lines = refusal(sources, tmp_path / "m.parquet").split("\n  ")

    assert lines[0] == "4 faults, nothing is written"
    assert [line.removeprefix(f"{tmp_path}/").partition(": ")[0] for line in lines[1:]] == [
        "a.csv, line 2 (a_mug)",
        "absent.txt",
        "b.txt, line 2 (x_y)",
        "c.txt",
    ]


def test_a_refusal_leaves_the_old_manifest_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "m.parquet"
    make_manifest([write(tmp_path, "a.txt", "a mug\n")], str(target))
    before = target.read_bytes()

    refusal([write(tmp_path, "b.txt", "a \0 mug\n")], target)
    refusal([write(tmp_path, "b.txt", "a \0 mug\n")], tmp_path / "new" / "m.parquet")
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt", "m.parquet"]


def test_a_source_is_never_overwritten(tmp_path: Path) -> None:
    source = Path(write(tmp_path, "a.parquet", "a mug\n"))  # a list of prompts under a name that misleads
    (tmp_path / "link.parquet").symlink_to(source)
    (tmp_path / "hard.parquet").hardlink_to(source)

    for name in ("a.parquet", "link.parquet", "hard.parquet", "../" + tmp_path.name + "/a.parquet"):
        with pytest.raises(ManifestError, match=r"is the source .*a\.parquet itself: choose another name"):
            make_manifest([str(source)], str(tmp_path / name), "text")
    assert source.read_bytes() == b"a mug\n"


@pytest.mark.parametrize("name", ["a.txt", "b.txt", "new.csv", "m", "m.parquet.gz", "", ".", "-"])
def test_a_target_that_is_named_like_a_source_is_refused(tmp_path: Path, name: str) -> None:
    first, second = write(tmp_path, "a.txt", "a mug\n"), write(tmp_path, "b.txt", "a car\n")

    assert "the manifest comes last and must be named .parquet" in refusal([first], tmp_path / name if name else "")
    assert Path(second).read_text() == "a car\n"


def test_a_target_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, "a.txt", "a mug\n")
    (tmp_path / "folder.parquet").mkdir()

    assert "is a folder: name a file in it" in refusal([source], tmp_path / "folder.parquet")
    assert "a part of this path is a file" in refusal([source], f"{source}/m.parquet")
    assert "a part of this path is a file" in refusal([source], f"{source}/new/m.parquet")
    assert "must be a path or s3://" in refusal([source], "https://example.org/m.parquet")
    assert "must name an object" in refusal([source], "s3://m.parquet")
    too_long = tmp_path / f"{'x' * 300}.parquet"
    assert f"cannot be written: {os.strerror(errno.ENAMETOOLONG)}" in refusal([source], too_long)
    assert "cannot be written" in refusal([source], "/proc/m.parquet")


def test_standard_input_is_read_once(tmp_path: Path) -> None:
    assert "standard input can be read once only" in refusal(["-", "-"], tmp_path / "m.parquet")


def test_a_link_to_an_older_manifest_gives_way_and_the_older_one_stays(tmp_path: Path) -> None:
    source, older, target = write(tmp_path, "a.txt", "a mug\n"), tmp_path / "older.parquet", tmp_path / "m.parquet"
    make_manifest([write(tmp_path, "b.txt", "a car\n")], str(older))
    target.symlink_to(older)

    make_manifest([source], str(target))
    assert (ids(target), ids(older)) == (["a_mug"], ["a_car"])
