"""Fields that no kernel could count are refused before they are made."""

from __future__ import annotations

import dataclasses

import pytest

from dreamfoundry.errors import ConfigError
from dreamfoundry.settings.field import MAX_FEATURES, FieldConfig, HashGridConfig

LARGEST = HashGridConfig(num_levels=15, features_per_level=8, entries_per_level=2**24, coarsest_resolution=512)


def test_a_hash_grid_of_more_features_than_32_bits_count_is_refused_with_their_number() -> None:
    sides = LARGEST.level_resolutions
    assert sum(min(side**3, 2**24) for side in sides) * 8 <= MAX_FEATURES
    with pytest.raises(ConfigError, match=r"\(16777216, 16, 8\): must make at most 2147483647 .* make 2147483648"):
        dataclasses.replace(LARGEST, num_levels=16)


def test_dense_levels_are_refused_alike() -> None:
    FieldConfig(level_resolutions=(256,), features_per_level=64)
    with pytest.raises(ConfigError, match=r"level_resolutions, features_per_level .* these make 2147483648"):
        FieldConfig(level_resolutions=(256, 256), features_per_level=64)
