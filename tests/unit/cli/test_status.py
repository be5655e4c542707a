"""`dreamfoundry status`: lines for a pipe, a table for a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dreamfoundry.cli.main import run


def begin(folder: Path) -> None:
    """A run has written its first blob, and no more."""
    (folder / "blobs/sha256/ab").mkdir(parents=True)
    (folder / "blobs/sha256/ab/cd").write_bytes(b"")


def test_a_library_without_assets_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path)
    assert run(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 published, 0 quarantined, 0 runs\n"


def test_an_empty_folder_says_how_a_library_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", str(tmp_path)]) == 0
    begins = f"dreamfoundry build MANIFEST {tmp_path} begins one"
    assert capsys.readouterr().out == f"{tmp_path}: empty, no run has begun; {begins}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["notes.txt", "catalog/catalog.parquet", "a/b/c", "a\x1b[2J"])
def test_a_folder_of_other_things_is_no_library(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("x")
    for command in ("status", "verify"):
        assert run([command, str(tmp_path)]) == 4
        assert "is the name right?" in capsys.readouterr().err


def test_a_terminal_gets_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(["status", str(tmp_path)]) == 0
    assert "│ 0 published, 0 quarantined, 0 runs │" in capsys.readouterr().out
