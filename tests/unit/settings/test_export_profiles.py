"""Export profiles: impossible ones are refused, unknown names are answered with the known ones."""

from typing import Any

import pytest

from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.export_profiles import EXPORT_PROFILES, ExportProfile, export_profile


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"triangles": (8000, 4000)}, "same number of levels"),
        ({"triangles": (90_000,)}, "unwrapping more takes minutes"),
        ({"texture_px": (500,)}, "powers of two"),
        ({"triangles": (800, 400), "texture_px": (128, 256)}, r"texture_px = \(128, 256\): must not rise"),
        ({"shared_atlas": True}, r"shared_atlas = True: must be false where triangles = \(8000,\)"),
        ({"video": True}, "video = True: must be false where turntable_frames is 0"),
    ],
)
def test_an_impossible_export_profile_is_refused(profile: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportProfile(**profile)


def test_an_unknown_profile_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=", ".join(EXPORT_PROFILES)):
        export_profile("tiny")
