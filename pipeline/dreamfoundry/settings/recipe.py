"""Everything that decides what a field becomes, except prompt and seed.

A `Recipe` is part of the field key of an asset; how the asset is delivered is an `ExportProfile`. Slots,
workers and devices are arguments of the run and in no key.
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
    """Everything that decides what a field becomes, except prompt and seed."""

    STORED_NAMES: ClassVar[Mapping[str, str]] = {"probes": "looks"}

    prior: PriorConfig = PriorConfig()
    wording: WordingConfig = WordingConfig()
    guidance: GuidanceConfig = GuidanceConfig()
    cameras: CameraConfig = CameraConfig()
    shading: ShadingConfig = ShadingConfig()
    field: FieldConfig = FieldConfig()
    render: RenderConfig = RenderConfig()
    losses: LossConfig = LossConfig()
    optimize: OptimizeConfig = OptimizeConfig()
    probes: ProbeConfig = ProbeConfig()
    gates: GateConfig = GateConfig()
    snapshot: SnapshotConfig = SnapshotConfig()

    def __post_init__(self) -> None:
        require(
            not self.guidance.perp_neg or len(self.wording.azimuth_words) % 4 == 0,
            "wording.azimuth_words",
            self.wording.azimuth_words,
            "must be a multiple of 4 words for guidance.perp_neg, which needs a word for either side",
        )
