"""The values that an exporter and its child hand on, in the smallest form that is valid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamfoundry.records import AssetBundle, FieldSnapshot, Prompt
from dreamfoundry.run.workers.export_process import Exported
from dreamfoundry.settings.export_profiles import ExportProfile

FILES = {"a_ball.glb": b"glTF", "asset.json": b"{}", "thumbnail.png": b"PNG"}


class InstantStages:
    """Stands for the child process of an exporter."""

    def export(
        self, snapshot: FieldSnapshot, prompt: Prompt, profile: ExportProfile, metadata: Mapping[str, object]
    ) -> Exported:
        return Exported(AssetBundle("a_ball", FILES, (), {"triangles": 1.0}, {}), tries=1)


def snapshot() -> FieldSnapshot:
    empty = np.zeros
    return FieldSnapshot(
        bound=1.0,
        density=empty((2, 2, 2), np.float16),
        albedo=empty((2, 2, 2, 3), np.uint8),
        view_rgb=empty((1, 2, 2, 3), np.uint8),
        view_opacity=empty((1, 2, 2), np.uint8),
        view_depth=empty((1, 2, 2), np.float16),
        camera_to_world=empty((1, 4, 4), np.float32),
        fovy_deg=empty(1, np.float32),
    )
