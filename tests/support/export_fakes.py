"""Stages of an export that misbehave in earnest; the child imports them by name.

What happens is said by the text of the prompt. `metadata` may name a file ("diary") to which each
call adds the pid of its process.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dreamfoundry.asset.gates.khronos import check_khronos
from dreamfoundry.errors import SurfaceFailed
from dreamfoundry.records import AssetBundle, FieldSnapshot, Prompt
from dreamfoundry.settings.export_profiles import ExportProfile

HELPER_CPU_S = 0.5
HELPER = f"""import sys, time
while time.process_time() < {HELPER_CPU_S}: pass
print(flush=True); sys.stdin.read()
"""
HELPERS: list[subprocess.Popen[bytes]] = []


def stages(
    snapshot: FieldSnapshot,
    prompt: Prompt,
    *,
    profile: ExportProfile,
    metadata: Mapping[str, str],
    on_stage: Callable[[str], None],
) -> AssetBundle:
    diary = Path(metadata["diary"])
    with diary.open("a") as pages:
        pages.write(f"{os.getpid()}\n")
    on_stage("mesh")
    on_stage("unwrap")

    match prompt.text:
        case "hang":
            subprocess.Popen(["sleep", "1000"])  # as a library may start helpers that know nothing of us
            ctypes.PyDLL(None).sleep(1000)  # native code that keeps the interpreter's lock
        case "hang at Khronos":
            check_khronos({"a.glb": b""})
        case "crash":
            ctypes.string_at(0)
        case "crash once":
            if len(diary.read_text().split()) == 1:
                ctypes.string_at(0)
        case "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "eat":
            np.ones(2**40, np.uint8)
        case "fill the disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))
            diary.with_suffix(".large").write_bytes(bytes(10_000))
        case "have work done":
            pipe = subprocess.PIPE
            HELPERS.append(subprocess.Popen([sys.executable, "-c", HELPER], stdin=pipe, stdout=pipe, process_group=0))
            assert HELPERS[-1].stdout is not None
            HELPERS[-1].stdout.read(1)  # it has done its work and lives on, as a browser does
        case "refuse":
            raise SurfaceFailed("no surface")
        case "stumble":
            raise KeyError("nobody thought of this")
    words = {"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}
    return AssetBundle("an_asset", {"asset.json": repr(words).encode()}, (), {}, {})


def crash_always(*arguments: object, on_stage: Callable[[str], None], **keywords: object) -> AssetBundle:
    on_stage("mesh")
    ctypes.string_at(0)
    raise AssertionError("never reached")
