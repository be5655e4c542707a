"""A turntable becomes a film that plays, or the asset says that there was no tool for it."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dreamfoundry.asset.pictures.video import mp4

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def frames() -> np.ndarray:
    """Three pictures of one colour each: red, green, blue."""
    pictures = np.zeros((3, 48, 64, 3), np.uint8)
    for index in range(3):
        pictures[index, ..., index] = 200
    return pictures


@needs_ffmpeg
def test_a_film_has_the_frames_in_their_order_and_colors(tmp_path: Path) -> None:
    data, findings = mp4(frames(), 90)
    film = tmp_path / "film.mp4"
    film.write_bytes(data)

    raw = subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout

    assert findings == []
    shown = np.frombuffer(raw, np.uint8).reshape(-1, 48, 64, 3).astype(int)
    assert np.abs(shown - frames()).max() < 25


@needs_ffmpeg
def test_the_same_frames_give_the_same_bytes() -> None:
    assert mp4(frames(), 90) == mp4(frames(), 90)


def test_without_ffmpeg_there_is_no_film_and_the_asset_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    data, (finding,) = mp4(frames(), 90)

    assert data == b""
    assert (finding.severity, finding.gate) == ("not_run", "video")


def test_an_ffmpeg_without_the_encoder_is_no_film_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho \"Unknown encoder 'libx264'\" >&2\nexit 8\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    data, (finding,) = mp4(frames(), 90)

    assert data == b"" and "ended with 8: Unknown encoder 'libx264'" in finding.message
