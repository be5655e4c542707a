"""A turntable becomes a film that plays, or the asset says that there was no tool for it."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.pictures.video import VIDEO, mp4
from dreamfoundry.records import Finding
from dreamfoundry.settings.export_profiles import ExportProfile

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def frames() -> np.ndarray:
    """Three pictures of one colour each: red, green, blue."""
    pictures = np.zeros((3, 48, 64, 3), np.uint8)
    for index in range(3):
        pictures[index, ..., index] = 200
    return pictures


def produced() -> tuple[Mapping[str, bytes], list[Finding]]:
    profile = ExportProfile(turntable_frames=3, video=True)
    pictures = np.full((3, 64, 64, 4), 200, np.uint8)
    return VIDEO.produce(AssetDraft("a", profile, 1.0, {}, (Glb("a.glb", b""),), frames=pictures))


@needs_ffmpeg
def test_a_profile_with_a_film_gets_it_without_a_finding() -> None:
    files, findings = produced()

    assert set(files) == {"turntable.mp4"}
    assert findings == []


@needs_ffmpeg
def test_a_film_has_the_frames_in_their_order_and_colors(tmp_path: Path) -> None:
    data = mp4(frames(), 90)
    film = tmp_path / "film.mp4"
    film.write_bytes(data)

    raw = subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout

    shown = np.frombuffer(raw, np.uint8).reshape(-1, 48, 64, 3).astype(int)
    assert np.abs(shown - frames()).max() < 25


@needs_ffmpeg
def test_the_same_frames_give_the_same_bytes() -> None:
    assert mp4(frames(), 90) == mp4(frames(), 90)


def test_without_ffmpeg_there_is_no_film_and_the_asset_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    files, (finding,) = produced()

    assert files == {}
    assert (finding.severity, finding.gate) == ("not_run", "video")


def test_an_ffmpeg_without_the_encoder_is_no_film_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho \"Unknown encoder 'libx264'\" >&2\nexit 8\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    files, (finding,) = produced()

    assert files == {}
    assert "ended with 8: Unknown encoder 'libx264'" in finding.message
