"""An asset in the making: the value handed to deliverables, gates and the sidecar.

Dimension key:  V pictures · H side in pixels
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import UInt8

from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.surface.screen_size import SCREEN_HEIGHT_PX, screen_px
from dreamfoundry.settings.export_profiles import ExportProfile


@dataclass(frozen=True)
class AssetDraft:
    """The files of one asset so far, and what is known of it.

    `levels` are the levels of detail, finest first; `hulls` and `dense` are None where the profile
    does not ask for them. `derived` are further GLBs, `others` all other files, by name. `frames`
    are the delivered pictures (straight RGBA), None until they are drawn; `scores` have the losses of the levels
    from the beginning, all others last.
    """

    slug: str
    profile: ExportProfile
    height_m: float
    metadata: Mapping[str, object]
    levels: tuple[Glb, ...]
    hulls: Glb | None = None
    dense: Glb | None = None
    derived: Mapping[str, Glb] = field(default_factory=dict)
    others: Mapping[str, bytes] = field(default_factory=dict)
    frames: UInt8[np.ndarray, "V H H 4"] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def master(self) -> Glb:
        """The finest level, from which other files are made."""
        return self.levels[0]

    @property
    def glbs(self) -> dict[str, Glb]:
        """Every GLB by name: levels, hulls, dense surface, derived files."""
        masters = (*self.levels, self.hulls, self.dense)
        return {**{glb.name: glb for glb in masters if glb is not None}, **self.derived}

    @property
    def files(self) -> dict[str, bytes]:
        """The bytes of every file by name."""
        return {**{name: glb.data for name, glb in self.glbs.items()}, **self.others}

    @property
    def screen_sizes(self) -> dict[int, dict[str, float]]:
        """Of each level, the size on the screen that it is good for (`asset.surface.screen_size`).

        `screen_px` are pixels that the diagonal of the bounding box covers, `screen_size` the share of a screen
        SCREEN_HEIGHT_PX high. Nothing where errors were not measured.
        """
        names = [f"surface_error_max_LOD{number}" for number in range(len(self.levels))]
        if not all(name in self.scores for name in names):
            return {}
        sizes_px = screen_px([self.scores[name] for name in names])
        return {
            number: {"screen_px": size_px, "screen_size": size_px / SCREEN_HEIGHT_PX}
            for number, size_px in enumerate(sizes_px)
        }

    def with_files(self, files: Mapping[str, bytes]) -> AssetDraft:
        """The draft with `files` added; those ending in .glb are GLBs."""
        derived = {name: Glb(name, data) for name, data in files.items() if name.endswith(".glb")}
        others = {name: data for name, data in files.items() if name not in derived}
        return replace(self, derived={**self.derived, **derived}, others={**self.others, **others})
