"""Plain values that travel between stages: numpy, bytes and strings, never torch.

Dimension key:  R voxels per side · V reference views · H, W pixels · N vertices · F faces · T texels
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float16, Float32, UInt8, UInt32

from dreamfoundry.errors import ObjectCorrupt
from dreamfoundry.serialization import Reader, read_record, to_plain

View = Literal["front", "side", "back", "overhead"]
VIEWS: tuple[View, ...] = ("front", "side", "back", "overhead")
ScaleSource = Literal["manifest", "words", "default"]
OutcomeState = Literal["published", "quarantined"]


@dataclass(frozen=True)
class Prompt:
    """One request: a row of the manifest, checked.

    `view_texts` replaces the wording of single views; `overrides` are dotted recipe keys
    ("optimize.num_steps") with their values. `target_height_m` is the height of the asset: ordered by its row, typical
    for what its words name, or 1 m. `scale_source` tells which, and is no part of the request.
    """

    prompt_id: str
    text: str
    negative_text: str = ""
    seed: int = 0
    priority: int = 0
    tags: tuple[str, ...] = ()
    target_height_m: float = 1.0
    scale_source: ScaleSource = field(default="default", compare=False)
    budget_profile: str = ""
    view_texts: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class LostRows:
    """Rows `first_row` to `last_row` (both included, counted over all parts) that can't be read, and why."""

    part: str
    row_group: int
    first_row: int
    last_row: int
    reason: str

    @property
    def num_rows(self) -> int:
        return self.last_row - self.first_row + 1


@dataclass(frozen=True)
class CandidateResult:
    """One candidate of a field: the steps it took, its verdict and its last scores.

    `verdict` is "chosen", "outrun" (another was better) or the class of the failure.
    """

    candidate: int
    num_steps: int
    verdict: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class FieldHistory:
    """Everything that was tried for one field, and the steps that it was allowed."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"candidates": "attempts"}

    step_budget: int
    candidates: tuple[CandidateResult, ...]

    @property
    def steps_spent(self) -> int:
        return sum(candidate.num_steps for candidate in self.candidates)

    @property
    def chosen(self) -> CandidateResult | None:
        return next((candidate for candidate in self.candidates if candidate.verdict == "chosen"), None)


NO_HISTORY = FieldHistory(0, ())


@dataclass(frozen=True)
class FieldSnapshot:
    """An optimised field as samples and pictures: all that the export ever reads.

    Samples stand on the vertices of a regular grid over the cube [-bound, bound]^3 in scene
    units, so index i along an axis is at -bound + 2 * bound * i / (R - 1); axes are x, y, z.
    Colours are display-referred sRGB. The reference views are square pictures of the albedo
    without background (rgb is premultiplied by opacity); depth is in scene units.
    """

    bound: float
    density: Float16[np.ndarray, "R R R"]
    albedo: UInt8[np.ndarray, "R R R 3"]
    view_rgb: UInt8[np.ndarray, "V H H 3"]
    view_opacity: UInt8[np.ndarray, "V H H"]
    view_depth: Float16[np.ndarray, "V H H"]
    camera_to_world: Float32[np.ndarray, "V 4 4"]
    fovy_deg: Float32[np.ndarray, " V"]
    history: FieldHistory = NO_HISTORY

    def to_bytes(self) -> bytes:
        """The snapshot as a compressed npz; equal snapshots give equal bytes."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            bound=np.float32(self.bound),
            density=self.density,
            albedo=self.albedo,
            view_rgb=self.view_rgb,
            view_opacity=self.view_opacity,
            view_depth=self.view_depth,
            camera_to_world=self.camera_to_world,
            fovy_deg=self.fovy_deg,
            history=np.str_(json.dumps(to_plain(self.history), sort_keys=True)),
        )
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> FieldSnapshot:
        """The snapshot that `to_bytes` wrote; ObjectCorrupt for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                values = {name: arrays[name] for name in arrays.files}
            bound, plain = float(values.pop("bound")), json.loads(str(values.pop("history")))
            history: FieldHistory = Reader(read_record, ObjectCorrupt).read(FieldHistory, plain, "snapshot.history")
            return FieldSnapshot(bound=bound, history=history, **values)
        except Exception as error:  # numpy and zipfile have a dozen classes for bytes that are something else
            raise ObjectCorrupt(f"{len(data)} bytes are no snapshot of this version: {error}") from error


@dataclass(frozen=True)
class Surface:
    """A closed surface of triangles, wound counterclockwise seen from outside.

    Each position occurs once; lengths are scene units until the export places the asset.
    """

    vertices: Float32[np.ndarray, "N 3"]
    faces: UInt32[np.ndarray, "F 3"]


@dataclass(frozen=True)
class DetailMaps:
    """Detail of the dense surface in the textures of a level; None where there is nothing to show.

    `tangents` are unit, w is 1 or -1, and the bitangent is cross(normal, tangent) * w; the normal map is in their
    space, OpenGL's way (green is up), and there is none of the two without the other. `occlusion` is 255 in the open.
    Each map has a side of its own. `found_share` is that of texels that found the dense surface; others show the level.
    """

    tangents: Float32[np.ndarray, "N 4"] | None
    normal_map: UInt8[np.ndarray, "U U 3"] | None
    occlusion: UInt8[np.ndarray, "V V 1"] | None
    found_share: float = 1.0


@dataclass(frozen=True)
class TexturedMesh:
    """A surface ready to be written: one level of detail, in scene units (metres after `asset.files.masters`).

    `uvs` follow glTF (origin at the top left); `normals` are unit and point outwards;
    `base_color` is sRGB. `detail` is None where the profile orders base colour only.
    `lightmap_uvs` are the same charts packed for a lightmap of `lightmap_px` texels a side, where it orders one.
    `maps_of` is the number of the level whose maps these are, None for its own.
    """

    vertices: Float32[np.ndarray, "N 3"]
    normals: Float32[np.ndarray, "N 3"]
    uvs: Float32[np.ndarray, "N 2"]
    faces: UInt32[np.ndarray, "F 3"]
    base_color: UInt8[np.ndarray, "T T 3"]
    detail: DetailMaps | None = None
    lightmap_uvs: Float32[np.ndarray, "N 2"] | None = None
    lightmap_px: int = 0
    maps_of: int | None = None


@dataclass(frozen=True)
class ColoredMesh:
    """A surface ready to be written without textures: `colors` are linear light in [0, 1], per vertex."""

    vertices: Float32[np.ndarray, "N 3"]
    normals: Float32[np.ndarray, "N 3"]
    faces: UInt32[np.ndarray, "F 3"]
    colors: Float32[np.ndarray, "N 3"]


@dataclass(frozen=True)
class Finding:
    """One thing that a gate noticed. `gate` names the check, `tool` what ran it.

    `severity` "block" refuses publication, "warn" is recorded, "not_run" says that a tool is absent: no pass.
    """

    severity: Literal["block", "warn", "not_run"]
    gate: str
    tool: str
    message: str


@dataclass(frozen=True)
class AssetBundle:
    """The files of one asset by delivered name, and what was measured on the way.

    `scores` are numbers with units in their names; `timings_s` are per stage of the export.
    """

    slug: str
    files: Mapping[str, bytes]
    findings: tuple[Finding, ...]
    scores: Mapping[str, float]
    timings_s: Mapping[str, float]


@dataclass(frozen=True)
class BlobRef:
    """An immutable object of the store, named by its content."""

    sha256: str
    num_bytes: int
    media_type: str


@dataclass(frozen=True)
class Outcome:
    """The final record of one asset key: the only thing that makes an asset exist.

    `tries` counts the workers that took it on, the ones that died on it included. `provenance` holds what no key may
    contain (run, device, slots, timings, versions, time), and under "request" all that its keys are made of.
    """

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"tries": "attempts"}

    asset_key: str
    field_key: str
    prompt_id: str
    prompt: str
    state: OutcomeState
    slug: str = ""
    failure_class: str = ""
    message: str = ""
    tries: int = 1
    candidate: int = 0
    files: Mapping[str, BlobRef] = field(default_factory=dict)
    snapshot: BlobRef | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)
