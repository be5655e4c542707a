"""Open delivered assets in the programs of others, and compare what these see with what the sidecar says.

examples:
  python jobs/importers.py library/assets/*/*/
  python jobs/importers.py library/assets/0001/3f.../ --only assimp
  DREAMFOUNDRY_BLENDER_PYTHON=bpy/bin/python python jobs/importers.py library/assets/*/*/ --only blender

Three readers, none of which shares code with ours: three.js in Chromium (`npm ci`, and chromium on
PATH), the Open Asset Import Library (its program `assimp`), and Blender (an interpreter with the
module bpy, named by the environment variable DREAMFOUNDRY_BLENDER_PYTHON). One that is absent is
reported as "not run". Dimensions, triangles and pictures of every level must be those of asset.json.

exit codes:
   0  all that ran see what the sidecars say
   1  one sees something else, or refuses a file
   4  the command line cannot be used
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.asset.gates.browser.gate import AZIMUTHS_DEG, ELEVATION_DEG, VIEW_PX
from dreamfoundry.asset.gates.browser.page import Browser
from dreamfoundry.asset.pictures.framing import FOVY_DEG, framing_pose
from dreamfoundry.cli.command_line import CommandLine
from dreamfoundry.errors import BrowserUnavailable
from dreamfoundry.run.exit_codes import EXIT_CODES

BLENDER_VARIABLE = "DREAMFOUNDRY_BLENDER_PYTHON"
ASSIMP_LIMIT_S, BLENDER_LIMIT_S = 60.0, 600.0

MASTER_TOLERANCE, COARSE_TOLERANCE = 1e-3, 0.08
"""Share of the largest dimension by which the first level, and the coarser ones, may differ from the sidecar."""


class ReaderAbsent(Exception):
    """The program is not installed; the message says what is missing."""


@dataclass(frozen=True)
class Imported:
    """One GLB as another program sees it; `refused` is why it does not, and then the rest is empty."""

    dimensions_m: tuple[float, ...] = ()
    triangles: int = 0
    num_images: int = 0
    refused: str = ""


@dataclass(frozen=True)
class Reader:
    """A program of others: what it sees of GLB files, and its version. Both raise ReaderAbsent."""

    read: Callable[[Sequence[Path]], Mapping[Path, Imported]]
    version: Callable[[], str]


def by_three(files: Sequence[Path]) -> dict[Path, Imported]:
    """three.js in Chromium; an error on the console counts as refused."""
    try:
        with Browser() as browser:
            return {file: _seen_by_three(browser, file.read_bytes()) for file in files}
    except BrowserUnavailable as reason:
        raise ReaderAbsent(str(reason)) from reason


def three_version() -> str:
    try:
        with Browser() as browser:
            return browser.version()
    except BrowserUnavailable as reason:
        raise ReaderAbsent(str(reason)) from reason


def _seen_by_three(browser: Browser, data: bytes) -> Imported:
    vertices = read_glb(data).vertices
    poses = np.stack([framing_pose(vertices, azimuth_deg, ELEVATION_DEG) for azimuth_deg in AZIMUTHS_DEG[:1]])
    drawn = browser.render(data, poses, FOVY_DEG, VIEW_PX)
    # Occlusion, roughness and metallic are one picture in three slots.
    num_images = sum(slot in drawn.images for slot in ("map", "normalMap", "aoMap"))
    return Imported(drawn.dimensions_m, drawn.triangles, num_images, "; ".join(drawn.errors))


def by_assimp(files: Sequence[Path]) -> dict[Path, Imported]:
    """The Open Asset Import Library, by what `assimp info` prints."""
    return {file: _seen_by_assimp(file) for file in files}


def assimp_version() -> str:
    found = re.search(r"Version ([\d.]+)", _assimp("version").stdout)
    return f"Assimp {found[1]}" if found else "Assimp of an unknown version"


def _assimp(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("assimp")
    if program is None:
        raise ReaderAbsent("assimp is not installed (Debian's assimp-utils)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=ASSIMP_LIMIT_S, check=False)


def _seen_by_assimp(file: Path) -> Imported:
    done = _assimp("info", str(file))
    words = dict(re.findall(r"^(Faces|Textures \(embed\.\)|Minimum point|Maximum point):? +(.+)$", done.stdout, re.M))
    if done.returncode != 0 or len(words) != 4:
        return Imported(refused=(done.stdout + done.stderr).strip().rsplit("\n", 1)[-1] or "no message")
    low, high = (np.array(words[f"{end} point"].strip("()").split(), dtype=float) for end in ("Minimum", "Maximum"))
    return Imported(tuple((high - low).tolist()), int(words["Faces"]), int(words["Textures (embed.)"]))


def by_blender(files: Sequence[Path]) -> dict[Path, Imported]:
    """Blender, all files in one process of the interpreter that BLENDER_VARIABLE names."""
    names = [str(file.resolve()) for file in files]
    answers: dict[str, Any] = json.loads(_blender(str(Path(__file__).with_name("blender_import.py")), *names))
    return {file: _seen_by_blender(answers[name]) for file, name in zip(files, names, strict=True)}


def blender_version() -> str:
    return f"Blender {_blender('-c', 'import bpy, os; print(bpy.app.version_string, flush=True); os._exit(0)')}"


def _blender(*arguments: str) -> str:
    """The last line that the interpreter with the module bpy prints."""
    python = os.environ.get(BLENDER_VARIABLE)
    if not python:
        raise ReaderAbsent(f"{BLENDER_VARIABLE} names no interpreter with the module bpy")
    # Our own PYTHONPATH would show Blender the libraries of another interpreter.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            [python, *arguments], capture_output=True, text=True, timeout=BLENDER_LIMIT_S, env=environment, check=False
        )
    except OSError as error:
        raise ReaderAbsent(f"{BLENDER_VARIABLE} = {python}: {error}") from error
    if done.returncode != 0:
        raise ReaderAbsent(f"{python} ended with {done.returncode}: {done.stderr.strip().rsplit(chr(10), 1)[-1]}")
    return done.stdout.strip().rsplit("\n", 1)[-1]


def _seen_by_blender(answer: Mapping[str, Any]) -> Imported:
    if "failed" in answer:
        return Imported(refused=answer["failed"])
    return Imported(tuple(answer["dimensions_m"]), int(answer["triangles"]), len(answer["images"]))


READERS: Mapping[str, Reader] = {
    "three.js": Reader(by_three, three_version),
    "assimp": Reader(by_assimp, assimp_version),
    "blender": Reader(by_blender, blender_version),
}


def all_disagreements(name: str, levels: Mapping[Path, Sequence[Path]]) -> list[str]:
    """What the reader `name` sees otherwise than the sidecars; `levels` are by asset folder. ReaderAbsent."""
    seen = READERS[name].read([file for group in levels.values() for file in group])
    return [line for folder, group in levels.items() for line in disagreements(folder, {f: seen[f] for f in group})]


def disagreements(folder: Path, seen: Mapping[Path, Imported]) -> list[str]:
    """What a reader sees otherwise than the sidecar of the asset in `folder` says; empty when all is well."""
    sidecar = json.loads((folder / "asset.json").read_text(encoding="utf-8"))
    found = []
    for file, imported in seen.items():
        if imported.refused:
            found.append(f"{file.name}: refused: {imported.refused}")
            continue
        expected = np.array(sidecar["dimensions_m"])
        is_master = file.name == f"{sidecar['slug']}.glb"
        allowed = (MASTER_TOLERANCE if is_master else COARSE_TOLERANCE) * expected.max()
        if not (np.abs(np.array(imported.dimensions_m) - expected) <= allowed).all():
            found.append(f"{file.name}: {_lengths(imported.dimensions_m)} m, the sidecar says {_lengths(expected)} m")
        triangles = sidecar["files"][file.name]["triangles"]
        if imported.triangles != triangles:
            found.append(f"{file.name}: {imported.triangles} triangles, the sidecar says {triangles}")
        num_images = len(read_glb(file.read_bytes()).document.get("images", ()))
        if imported.num_images != num_images:
            found.append(f"{file.name}: {imported.num_images} pictures, the file holds {num_images}")
    return found


def levels_of(folder: Path) -> list[Path]:
    """The GLB files of the levels of detail in an asset folder, finest first. FileNotFoundError without asset.json."""
    slug = json.loads((folder / "asset.json").read_text(encoding="utf-8"))["slug"]
    return [folder / f"{slug}.glb", *sorted(folder.glob(f"{slug}_LOD[0-9].glb"))]


def _lengths(dimensions_m: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{length:.4g}" for length in dimensions_m)


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of an asset: asset.json, GLBs")
    command_line.add_argument("--only", choices=READERS, help="one reader instead of all")
    arguments = command_line.parse_args()
    try:
        levels = {folder: levels_of(folder) for folder in arguments.folders}
    except OSError as error:
        command_line.error(f"{error.filename}: {error.strerror}; name folders of assets: LIBRARY/assets/ID/KEY")
    num_bad = sum(_report(name, levels) for name in ([arguments.only] if arguments.only else READERS))
    return EXIT_CODES["failed" if num_bad else "complete"]


def _report(name: str, levels: Mapping[Path, Sequence[Path]]) -> int:
    """Print what one reader found; the number of its disagreements."""
    try:
        bad = all_disagreements(name, levels)
    except ReaderAbsent as reason:
        print(f"{name}: not run: {reason}")
        return 0
    num_files = sum(map(len, levels.values()))
    print(f"{name}: {num_files} files of {len(levels)} assets, {len(bad)} disagreements")
    for line in bad:
        print(f"  {line}")
    return len(bad)


if __name__ == "__main__":
    sys.exit(main())
