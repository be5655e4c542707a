"""`dreamfoundry collect`: one line for each asset, books that balance, refusals with exit code 4."""

from pathlib import Path

import pytest

from dreamfoundry.cli.main import run
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store
from support.collected import library_in, publish, tree


@pytest.fixture
def library(tmp_path: Path) -> str:
    library = library_in(tmp_path / "library")
    publish(library, "mug", number=1, tags=["kitchen"])
    publish(library, "chair", number=2, profile="game_hero")
    return str(tmp_path / "library")


def test_the_books_balance_and_a_repetition_says_so(
    library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["collect", library, str(tmp_path / "props"), "--engine", "unity", "--tag", "kitchen"]
    assert run(line) == 0
    first = capsys.readouterr().out.splitlines()
    assert run(line) == 0
    second = capsys.readouterr().out.splitlines()

    assert first[0] == "copied  mug (game_prop): 4 files, 0.0 MB"
    assert first[1] == "1 of 2 assets chosen: 1 copied (4 files, 0.0 MB), 0 already there"
    assert first[2].startswith("import them with ")
    assert second[:2] == [
        "there   mug (game_prop): 4 files",
        "1 of 2 assets chosen: 0 copied (0 files, 0.0 MB), 1 already there",
    ]
    assert "Editor/DreamfoundryKit.cs" in tree(tmp_path / "props")


def test_a_library_on_s3_gives_the_same_bytes(library: str, s3_url: str, tmp_path: Path) -> None:
    there = Library(open_store(f"{s3_url}/library"))
    publish(there, "mug", number=1, tags=["kitchen"])
    publish(there, "chair", number=2, profile="game_hero")

    for number, source in enumerate((library, f"{s3_url}/library")):
        assert run(["collect", source, str(tmp_path / str(number)), "--engine", "godot"]) == 0

    assert tree(tmp_path / "0") == tree(tmp_path / "1")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tag", "garden"], "--tag garden"),
        (["--profile", "cg"], "there are game_hero, game_prop"),
        (["--engine", "maya"], "maya"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(
    library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert run(["collect", library, str(tmp_path / "props"), *flags]) == 4
    assert message in capsys.readouterr().err
    assert not (tmp_path / "props").exists()


def test_a_bucket_is_no_folder_to_collect_into(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["collect", library, "s3://bucket/props"]) == 4
    assert "must be on this machine: name a path" in capsys.readouterr().err
    assert not Path("s3:").exists()


def test_a_library_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["collect", str(tmp_path / "nowhere"), str(tmp_path / "props")]) == 4
    assert "no such directory" in capsys.readouterr().err


def test_an_older_export_is_named_and_goes_only_if_asked(
    library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["collect", library, str(tmp_path / "props"), "--tag", "kitchen"]
    assert run(line) == 0
    publish(
        Library(open_store(library)),
        "mug_2",
        number=9,
        prompt_id="mug",
        tags=["kitchen"],
        created_at="2026-02-01T00:00:00Z",
    )
    capsys.readouterr()

    assert run(line) == 0
    assert "older   mug: mug_2 is newer; --prune deletes it\n" in capsys.readouterr().out
    assert (tmp_path / "props" / "mug").is_dir()

    assert run([*line, "--prune"]) == 0
    assert "pruned  mug: mug_2 is newer\n" in capsys.readouterr().out
    assert not (tmp_path / "props" / "mug").exists()
