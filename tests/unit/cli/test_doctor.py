"""`dreamfoundry doctor` tries a place out and leaves it as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamfoundry.cli.main import run


@pytest.mark.parametrize("name", ["library", "new/library", "very/new/library", "."])
def test_a_place_is_as_it_was(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", str(tmp_path / name)]) == 0
    assert "can carry a library" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert run(["doctor", str(tmp_path / "file")]) in (1, 4)
    assert (tmp_path / "file").read_text() == "x"
