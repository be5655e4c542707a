"""`dreamfoundry status`: lines for a pipe, a table for a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dreamfoundry.cli.main import run


def test_an_empty_library_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 published, 0 quarantined, 0 runs\n"


def test_a_terminal_gets_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(["status", str(tmp_path)]) == 0
    assert "│ 0 published, 0 quarantined, 0 runs │" in capsys.readouterr().out
