"""Compare imports of other programs with the sidecar: dimensions, triangles and pictures of every level."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.evaluation.delivery.readers import READERS, Imported

MASTER_TOLERANCE, COARSE_TOLERANCE = 1e-3, 0.08
"""Share of the largest dimension by which the first level, and the coarser ones, may differ from the sidecar."""


def all_disagreements(name: str, levels: Mapping[Path, Sequence[Path]]) -> list[str]:
    """Differences between the reader `name` and the sidecars; `levels` are by asset folder.

    Raises ReaderUnavailable.
    """
    imports = READERS[name].read([file for group in levels.values() for file in group])
    return [
        line
        for folder, group in levels.items()
        for line in disagreements(folder, {file: imports[file] for file in group})
    ]


def disagreements(folder: Path, imports: Mapping[Path, Imported]) -> list[str]:
    """Differences between the imports of a reader and the sidecar of the asset in `folder`; empty when all is well."""
    sidecar = json.loads((folder / "asset.json").read_text(encoding="utf-8"))
    lines = []
    for file, imported in imports.items():
        if imported.refused:
            lines.append(f"{file.name}: refused: {imported.refused}")
            continue

        # decimation moves the outline of coarse levels a little
        expected = np.array(sidecar["dimensions_m"])
        is_master = file.name == f"{sidecar['slug']}.glb"
        allowed = (MASTER_TOLERANCE if is_master else COARSE_TOLERANCE) * expected.max()
        if not (np.abs(np.array(imported.dimensions_m) - expected) <= allowed).all():
            lines.append(f"{file.name}: {_lengths(imported.dimensions_m)} m, the sidecar says {_lengths(expected)} m")

        triangles = sidecar["files"][file.name]["triangles"]
        if imported.triangles != triangles:
            lines.append(f"{file.name}: {imported.triangles} triangles, the sidecar says {triangles}")

        num_images = len(read_glb(file.read_bytes()).document.get("images", ()))
        if imported.num_images != num_images:
            lines.append(f"{file.name}: {imported.num_images} pictures, the file holds {num_images}")
    return lines


def levels_of(folder: Path) -> list[Path]:
    """The GLB files of the levels of detail in an asset folder, finest first. FileNotFoundError without asset.json."""
    slug = json.loads((folder / "asset.json").read_text(encoding="utf-8"))["slug"]
    return [folder / f"{slug}.glb", *sorted(folder.glob(f"{slug}_LOD[0-9].glb"))]


def _lengths(dimensions_m: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{length:.4g}" for length in dimensions_m)
