"""The turntable as a film: MP4 (H.264) for programs that play no animated WebP.

ffmpeg is optional and runs as a process of its own: the wheels that carry an H.264 encoder (PyAV,
imageio-ffmpeg) carry x264 with it, which is under the GPL. Where ffmpeg is absent, or was built
without the encoder, the asset says "not_run" and has no film.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dreamfoundry.host.child_process import die_with
from dreamfoundry.records import Finding

GATE = "video"
TOOL = "ffmpeg"
LIMIT_S = 120.0


def mp4(frames: UInt8[np.ndarray, "V H W 3"], frame_ms: int) -> tuple[bytes, list[Finding]]:
    """One turn as MP4; sides must be even. Without ffmpeg no bytes, and the finding that says so.

    The same frames and the same ffmpeg give the same bytes.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return b"", [not_run("ffmpeg is not installed (no `ffmpeg` on PATH)")]
    _, height_px, width_px, _ = frames.shape
    with tempfile.TemporaryDirectory(prefix="dreamfoundry-") as folder:
        film = Path(folder, "turntable.mp4")
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width_px}x{height_px}", "-framerate", f"1000/{frame_ms}"]
        # One thread and "bitexact": no time, no version and no order of threads in the file.
        encoded = ["-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-threads", "1", "-map_metadata", "-1"]
        exact = ["-flags:v", "+bitexact", "-fflags", "+bitexact", "-movflags", "+faststart"]
        try:
            done = subprocess.run(
                [ffmpeg, "-loglevel", "error", *raw, "-i", "pipe:0", *encoded, *exact, str(film)],
                input=frames.tobytes(),
                capture_output=True,
                timeout=LIMIT_S,
                preexec_fn=partial(die_with, os.getpid()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return b"", [not_run(f"ffmpeg did not end within {LIMIT_S:g} s")]
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            return b"", [not_run(f"ffmpeg ended with {done.returncode}: {words[-1] if words else 'no message'}")]
        return film.read_bytes(), []


def not_run(reason: str) -> Finding:
    return Finding("not_run", GATE, TOOL, reason)
