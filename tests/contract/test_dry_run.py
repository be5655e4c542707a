"""`build --dry-run` as a user meets it: what it prints, how it ends, and that it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from support.processes import run_job

SOUND = {"prompt_id": ["a", "b"], "prompt": ["a red mushroom", "a blue car"]}
ONE_BAD = {"prompt_id": ["a", "b"], "prompt": ["a red mushroom", "a purple quux"]}


@pytest.mark.parametrize(
    ("columns", "flags", "code"),
    [
        (SOUND, (), 0),
        (ONE_BAD, (), 4),
        (ONE_BAD, ("--quarantine-bad-rows",), 3),
    ],
    ids=["sound", "bad", "bad rows allowed"],
)
def test_it_ends_as_the_run_would_and_writes_nothing(
    write_manifest: Callable[..., str], tmp_path: Path, columns: dict[str, list[str]], flags: tuple[str, ...], code: int
) -> None:
    manifest = write_manifest(**columns)

    done = run_job("build_library.py", manifest, str(tmp_path / "library"), "--dry-run", "--asset-s", "30", *flags)

    assert done.returncode == code, done.stderr
    assert f"exit code     {code}, if nothing fails; nothing was started or written" in done.stdout
    assert ("did you mean" in done.stdout or "quux" in done.stdout) == (columns is ONE_BAD)
    assert "steps" in done.stdout
    assert "about 0:0" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [Path(manifest).name]


def test_all_rows_that_become_no_asset_are_listed_in_a_file(write_manifest: Callable[..., str], tmp_path: Path) -> None:
    names = [f"row-{number}" for number in range(50)]
    manifest = write_manifest(prompt_id=names, prompt=["a red mushroom"] + ["quux"] * 49)

    done = run_job("build_library.py", manifest, str(tmp_path / "l"), "--dry-run", "--list", str(tmp_path / "bad.csv"))

    assert done.stdout.count("bad row ") == 21
    assert "… and 29 more: --list FILE writes all of them" in done.stdout
    assert len((tmp_path / "bad.csv").read_text().splitlines()) == 50


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_foreseen(write_manifest: Callable[..., str], tmp_path: Path) -> None:
    words = (str(tmp_path / "library"), "--dry-run", "--device", "cuda", "--asset-s", "30")

    done = run_job("build_library.py", write_manifest(**SOUND), *words, RAY_ADDRESS="")

    assert done.returncode == 1, done.stderr
    assert "this machine has no GPU; use --device cpu" in done.stdout


def test_the_run_and_the_dry_run_tell_all_rows_in_conflict(write_manifest: Callable[..., str], tmp_path: Path) -> None:
    colours = ["red", "blue", "green", "yellow"]
    manifest = write_manifest(
        prompt_id=["a", "b", *"ab" * 3, "bad"], prompt=[*(f"a {colour} car" for colour in colours for _ in "ab"), ""]
    )

    for flags in ((), ("--quarantine-bad-rows",), ("--dry-run", "--quarantine-bad-rows")):
        done = run_job("build_library.py", manifest, str(tmp_path / "library"), *flags)

        assert done.returncode == 4
        told = done.stdout + done.stderr
        assert told.count("with different content") == 6
        assert "prompt_id 'b' stands in row 1 and row 7 with different content" in told
        assert ("row 8 (bad)" in told) == ("--quarantine-bad-rows" not in flags or "--dry-run" in flags)
        assert not (tmp_path / "library").exists()


@pytest.mark.parametrize("flags", [("--list", "x.csv"), ("--asset-s", "3")])
def test_its_flags_are_refused_without_it(flags: tuple[str, ...], tmp_path: Path) -> None:
    done = run_job("build_library.py", "m.parquet", str(tmp_path / "l"), *flags)

    assert done.returncode == 4
    assert "only with --dry-run" in done.stderr


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("{manifest}", "is no list of a dry run"),
        ("{library}/index.html", "lies in the library"),
        ("{library}", "lies in the library"),
        ("s3://bucket/l.csv", "must be a file on this machine"),
        ("/dev/stdin", "is no list of a dry run"),
    ],
)
def test_a_list_never_takes_the_place_of_something_else(
    write_manifest: Callable[..., str], tmp_path: Path, target: str, sentence: str
) -> None:
    manifest, library = write_manifest(**SOUND), tmp_path / "library"
    before = Path(manifest).read_bytes()
    words = ("--dry-run", "--list", target.format(manifest=manifest, library=library))

    done = run_job("build_library.py", manifest, str(library), *words)

    assert done.returncode == 4
    assert sentence in done.stderr
    assert Path(manifest).read_bytes() == before
    assert not library.exists()


def test_a_list_of_an_earlier_dry_run_is_replaced(write_manifest: Callable[..., str], tmp_path: Path) -> None:
    words = (str(tmp_path / "library"), "--dry-run", "--list", str(tmp_path / "bad.csv"))
    run_job("build_library.py", write_manifest(**ONE_BAD), *words)

    assert run_job("build_library.py", write_manifest(**SOUND), *words).returncode == 0
    assert len((tmp_path / "bad.csv").read_text().splitlines()) == 1


def test_a_folder_that_is_no_library_stays_as_it_is(write_manifest: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    assert run_job("build_library.py", write_manifest(**SOUND), str(tmp_path / "folder"), "--dry-run").returncode == 0
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("library", ["file", "file/library"])
def test_a_library_that_cannot_be_is_told_as_by_the_run(
    write_manifest: Callable[..., str], tmp_path: Path, library: str
) -> None:
    (tmp_path / "file").write_text("x")

    done = run_job("build_library.py", write_manifest(**SOUND), str(tmp_path / library), "--dry-run")

    assert done.returncode == 1
    assert "choose a directory" in done.stderr


def test_a_library_without_a_name_is_refused(write_manifest: Callable[..., str]) -> None:
    for flags in ((), ("--dry-run",)):
        done = run_job("build_library.py", write_manifest(**SOUND), "", *flags)

        assert done.returncode == 4
        assert "library = ''" in done.stderr


def test_names_cannot_command_the_terminal(tmp_path: Path, write_manifest: Callable[..., str]) -> None:
    manifest = write_manifest(**SOUND, **{"\x1b[31m": ["", ""]})

    done = run_job("build_library.py", manifest, str(tmp_path / "library"), "--dry-run")

    assert "\x1b" not in done.stdout
    assert "\\x1b[31m" in done.stdout
