"""`dreamfoundry gc`: the age of what may go has a lower bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamfoundry.cli.main import run


@pytest.mark.parametrize("days", ["0.5", "-1", "nan", "1e7", "soon"])
def test_young_things_are_never_offered(days: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gc", str(tmp_path), "--older-than-days", days]) == 4
    assert "--older-than-days" in capsys.readouterr().err


def test_an_empty_library_has_no_garbage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gc", str(tmp_path), "--older-than-days", "1"]) == 0
    assert "0 objects of 0.0 MB would go" in capsys.readouterr().out
