"""Stage 6, the turntable as a film: MP4 (H.264) for programs that play no animated WebP.

ffmpeg is optional and runs as a process of its own: the wheels that carry an H.264 encoder (PyAV,
imageio-ffmpeg) carry x264 with it, which is under the GPL. Where ffmpeg is absent, or was built
without the encoder, there is no film and the gate "video" is "not_run".
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

from dreamfoundry.asset.files.deliverable import Deliverable, Made
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.pictures import thumbnail
from dreamfoundry.errors import ToolUnavailable
from dreamfoundry.host.child_process import die_with

GATE = "video"
TOOL = "ffmpeg"
LIMIT_S = 120.0


def mp4(frames: UInt8[np.ndarray, "V H W 3"], frame_ms: int) -> bytes:
    """One turn as MP4; sides must be even. The same frames and the same ffmpeg give the same bytes.

    Raises ToolUnavailable where ffmpeg is absent, fails, or runs longer than LIMIT_S.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise ToolUnavailable("ffmpeg is not installed (no `ffmpeg` on PATH)")

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
            raise ToolUnavailable(f"ffmpeg did not end within {LIMIT_S:g} s") from None

        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise ToolUnavailable(f"ffmpeg ended with {done.returncode}: {words[-1] if words else 'no message'}")
        return film.read_bytes()


def _video(draft: AssetDraft) -> Made:
    if draft.frames is None:
        raise ValueError("the pictures of this asset are not drawn yet")
    return {"turntable.mp4": mp4(thumbnail.on_ground(draft.frames), thumbnail.FRAME_MS)}, []


VIDEO = Deliverable(
    gate=GATE,
    tool=TOOL,
    stage="thumbnail",
    moment="after_pictures",
    unwanted=lambda profile: "" if profile.video else "not in this profile",
    make=_video,
    media_types={"mp4": "video/mp4"},
)
