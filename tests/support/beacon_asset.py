"""A prompt, its metadata and profiles for exports of the beacon: a tiny one and one with every kind of file."""

from dataclasses import replace

from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import EXPORT_PROFILES, ExportProfile
from dreamfoundry.settings.prior_identity import PriorIdentity

PROMPT = Prompt("row-7", "A Beacon, gray!", seed=5, target_height_m=0.4, view_texts={"back": "its back"})
PROFILE = ExportProfile(
    "tiny", (1000, 300), (128, 64), thumbnail_px=64, turntable_frames=3, turntable_px=32, collision_hull_vertices=16
)
PRIOR = PriorIdentity("toybox", "r1", "d" * 64, "Apache-2.0", research_only=True)
METADATA = asset_metadata(PROMPT, PRIOR, "f" * 64, "a" * 64, "e" * 64, PROFILE)

EVERYTHING = replace(
    EXPORT_PROFILES["game_hero"],
    triangles=(1000, 600, 300, 100),
    texture_px=(128, 128, 64, 64),
    dense=True,
    web=True,
    lightmap_px=128,
    thumbnail_px=64,
    turntable_frames=3,
    turntable_px=32,
    browser=False,
)
"""Every kind of file; a browser makes none."""
