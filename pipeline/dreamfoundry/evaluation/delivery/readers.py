"""Import delivered GLB files in programs that share no code with ours.

Three readers: three.js in Chromium (`npm ci`, and chromium on PATH), the Open Asset Import Library (its
program `assimp`), and Blender (an interpreter with the module bpy, named by the environment variable
DREAMFOUNDRY_BLENDER_PYTHON).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.asset.gates.browser.gate import AZIMUTHS_DEG, ELEVATION_DEG, VIEW_PX
from dreamfoundry.asset.gates.browser.page import Browser
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose
from dreamfoundry.errors import BrowserUnavailable, ReaderUnavailable

BLENDER_VARIABLE = "DREAMFOUNDRY_BLENDER_PYTHON"
ASSIMP_LIMIT_S = 60.0
BLENDER_LIMIT_S = 600.0


@dataclass(frozen=True)
class Imported:
    """One GLB as another program imports it; `refused` is why it does not, and then the rest is empty."""

    dimensions_m: tuple[float, ...] = ()
    triangles: int = 0
    num_images: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Reader:
    """A program of others: how it imports GLB files, and its version. Both raise ReaderUnavailable."""

    read: Callable[[Sequence[Path]], Mapping[Path, Imported]]
    version: Callable[[], str]


def read_with_three(files: Sequence[Path]) -> dict[Path, Imported]:
    """three.js in Chromium; an error on the console counts as refused."""
    try:
        with Browser() as browser:
            return {file: _three_import(browser, file.read_bytes()) for file in files}
    except BrowserUnavailable as reason:
        raise ReaderUnavailable(str(reason)) from reason


def three_version() -> str:
    """Version of the browser that three.js runs in."""
    try:
        with Browser() as browser:
            return browser.version()
    except BrowserUnavailable as reason:
        raise ReaderUnavailable(str(reason)) from reason


def _three_import(browser: Browser, data: bytes) -> Imported:
    vertices = read_glb(data).vertices
    poses = np.stack([framing_pose(vertices, azimuth_deg, ELEVATION_DEG) for azimuth_deg in AZIMUTHS_DEG[:1]])
    drawn = browser.render(data, poses, FOVY_DEG, VIEW_PX)

    # occlusion, roughness and metallic are one picture in three slots
    num_images = sum(slot in drawn.images for slot in ("map", "normalMap", "aoMap"))
    return Imported(drawn.dimensions_m, drawn.triangles, num_images, "; ".join(drawn.errors))


def read_with_assimp(files: Sequence[Path]) -> dict[Path, Imported]:
    """The Open Asset Import Library, by what `assimp info` prints."""
    return {file: _assimp_import(file) for file in files}


def assimp_version() -> str:
    """Name and version of the Open Asset Import Library."""
    version = re.search(r"Version ([\d.]+)", _assimp("version").stdout)
    return f"Assimp {version[1]}" if version else "Assimp of an unknown version"


def _assimp(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("assimp")
    if program is None:
        raise ReaderUnavailable("assimp is not installed (Debian's assimp-utils)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=ASSIMP_LIMIT_S, check=False)


def _assimp_import(file: Path) -> Imported:
    done = _assimp("info", str(file))
    words = dict(re.findall(r"^(Faces|Textures \(embed\.\)|Minimum point|Maximum point):? +(.+)$", done.stdout, re.M))
    if done.returncode != 0 or len(words) != 4:
        return Imported(refused=(done.stdout + done.stderr).strip().rsplit("\n", 1)[-1] or "no message")
    low, high = (np.array(words[f"{end} point"].strip("()").split(), dtype=float) for end in ("Minimum", "Maximum"))
    return Imported(tuple((high - low).tolist()), int(words["Faces"]), int(words["Textures (embed.)"]))


def read_with_blender(files: Sequence[Path]) -> dict[Path, Imported]:
    """Blender, all files in one process of the interpreter that BLENDER_VARIABLE names."""
    names = [str(file.resolve()) for file in files]
    answers: dict[str, Any] = json.loads(_blender(str(Path(__file__).with_name("blender_import.py")), *names))
    return {file: _blender_import(answers[name]) for file, name in zip(files, names, strict=True)}


def blender_version() -> str:
    """Name and version of Blender."""
    return f"Blender {_blender('-c', 'import bpy, os; print(bpy.app.version_string, flush=True); os._exit(0)')}"


def _blender(*arguments: str) -> str:
    """The last line that the interpreter with the module bpy prints."""
    python = os.environ.get(BLENDER_VARIABLE)
    if not python:
        raise ReaderUnavailable(f"{BLENDER_VARIABLE} names no interpreter with the module bpy")

    # our own PYTHONPATH would show Blender the libraries of another interpreter
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            [python, *arguments], capture_output=True, text=True, timeout=BLENDER_LIMIT_S, env=environment, check=False
        )
    except OSError as error:
        raise ReaderUnavailable(f"{BLENDER_VARIABLE} = {python}: {error}") from error
    if done.returncode != 0:
        raise ReaderUnavailable(f"{python} ended with {done.returncode}: {done.stderr.strip().rsplit(chr(10), 1)[-1]}")
    return done.stdout.strip().rsplit("\n", 1)[-1]


def _blender_import(answer: Mapping[str, Any]) -> Imported:
    if "failed" in answer:
        return Imported(refused=answer["failed"])
    return Imported(tuple(answer["dimensions_m"]), int(answer["triangles"]), len(answer["images"]))


READERS: Mapping[str, Reader] = {
    "three.js": Reader(read_with_three, three_version),
    "assimp": Reader(read_with_assimp, assimp_version),
    "blender": Reader(read_with_blender, blender_version),
}
