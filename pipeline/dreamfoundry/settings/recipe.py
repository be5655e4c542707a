"""Recipes: everything that decides a field, except prompt and seed.

A `Recipe` is part of the field key of an asset; its delivery is an `ExportProfile`. Slots, workers and devices are
arguments of the run and in no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from dreamfoundry.settings.distillation import CameraConfig, GuidanceConfig, LossConfig, OptimizeConfig, ShadingConfig
from dreamfoundry.settings.field import FieldConfig, RenderConfig, SnapshotConfig
from dreamfoundry.settings.prior import PriorConfig, WordingConfig
from dreamfoundry.settings.selection import GateConfig, ProbeConfig
from dreamfoundry.settings.values import require


@dataclass(frozen=True)
class Recipe:
    """Settings of a field by table of a recipe file."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"probes": "looks"}

    prior: PriorConfig = PriorConfig()
    """Diffusion model and LoRAs; keyed by the identity of their weights, not by these settings."""

    wording: WordingConfig = WordingConfig()
    """Prompts for each view, shading and background."""

    guidance: GuidanceConfig = GuidanceConfig()
    """Score distillation."""

    cameras: CameraConfig = CameraConfig()
    """Training cameras."""

    shading: ShadingConfig = ShadingConfig()
    """Albedo, lit and textureless renders, and the light."""

    field: FieldConfig = FieldConfig()
    """Radiance field."""

    render: RenderConfig = RenderConfig()
    """Pictures during optimisation."""

    losses: LossConfig = LossConfig()
    """Weights of the regularisers."""

    optimize: OptimizeConfig = OptimizeConfig()
    """Steps and learning rates."""

    probes: ProbeConfig = ProbeConfig()
    """Mid-run evaluations, candidates and restarts; the table [looks] of a file."""

    gates: GateConfig = GateConfig()
    """Limits that end a candidate."""

    snapshot: SnapshotConfig = SnapshotConfig()
    """Samples of the finished field."""

    def __post_init__(self) -> None:
        require(
            not self.guidance.perp_neg or len(self.wording.azimuth_words) % 4 == 0,
            "wording.azimuth_words",
            self.wording.azimuth_words,
            "must be a multiple of 4 words for guidance.perp_neg, which needs a word for either side",
        )
