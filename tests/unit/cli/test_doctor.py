"""`dreamfoundry doctor` tries a place out and leaves it as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dreamfoundry.cli.main import run


@pytest.mark.parametrize("name", ["library", "new/library", "very/new/library", "."])
def test_a_place_is_as_it_was(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", str(tmp_path / name)]) == 0
    assert "can carry a library" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_device_that_computes_is_told_beside_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", str(tmp_path), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "ok      kernels: none: plain torch code serves on a CPU" in said
    assert said.endswith("cpu can be used on this machine\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_a_verdict_with_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", str(tmp_path), "--device", "cuda"]) == 1
    said = capsys.readouterr().out
    assert "can carry a library" in said
    assert "not ok  driver: " in said
    assert "not ok  device: device 'cuda' of " in said


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert run(["doctor", str(tmp_path / "file")]) in (1, 4)
    assert (tmp_path / "file").read_text() == "x"
