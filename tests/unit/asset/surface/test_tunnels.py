"""Leaks of a voxel are filled; the hole of a handle, the gap between legs and a crevice stay."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from dreamfoundry.asset.surface.isosurface import (
    _level_of,
    _level_set,
    _voxel_opacity,
    choose_isovalue,
    extract_surface,
)
from dreamfoundry.asset.surface.triangles import genus
from dreamfoundry.asset.surface.tunnels import without_tunnels
from dreamfoundry.records import FieldSnapshot, Surface

Shape = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def mug(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An open cup with a handle on +X."""
    x, y, z = points.T
    cup = np.maximum(np.abs(np.hypot(x, z) - 0.35) - 0.08, np.abs(y) - 0.5)
    floor = np.maximum(np.hypot(x, z) - 0.4, np.abs(y + 0.45) - 0.08)
    handle = np.hypot(np.hypot(x - 0.42, y) - 0.28, z) - 0.08
    handle = np.where(x > 0.35, handle, 1.0)
    return np.minimum(np.minimum(cup, floor), handle), np.full((len(points), 3), 0.5)


def chair(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A seat on four legs with a ring of rungs below, which makes four gaps between them."""
    x, y, z = points.T
    seat = np.maximum(np.maximum(np.abs(x), np.abs(z)) - 0.5, np.abs(y - 0.3) - 0.1)
    legs = np.maximum(np.maximum(np.abs(np.abs(x) - 0.4), np.abs(np.abs(z) - 0.4)) - 0.1, np.abs(y) - 0.35)
    rungs = np.maximum(np.abs(np.maximum(np.abs(x), np.abs(z)) - 0.4) - 0.08, np.abs(y + 0.2) - 0.08)
    return np.minimum(np.minimum(seat, legs), rungs), np.full((len(points), 3), 0.5)


def pierced(snapshot: FieldSnapshot, places: list[tuple[int, int]]) -> FieldSnapshot:
    """The field with a hole of three by two voxels, all along z, at each place (column in x, row in y);
    smoothed, one by two are left of it."""
    density = snapshot.density.copy()
    for column, row in places:
        density[column : column + 3, row : row + 2] = 0.0
    return dataclasses.replace(snapshot, density=density)


def extracted(snapshot: FieldSnapshot, isovalue: float) -> Surface:
    return extract_surface(snapshot, isovalue)[0]


@pytest.mark.parametrize(("shape", "handles"), [(mug, 1), (chair, 4)])
def test_what_is_several_voxels_wide_stays(
    make_snapshot: Callable[..., FieldSnapshot], shape: Shape, handles: int
) -> None:
    snapshot = make_snapshot(shape, resolution=48)

    assert genus(extracted(snapshot, choose_isovalue(snapshot).density)) == handles


def test_leaks_vanish_and_the_handle_stays(make_snapshot: Callable[..., FieldSnapshot]) -> None:
    """Two leaks through front and back of the cup, which at a handle or two each would make it genus 4 or 5."""
    snapshot = make_snapshot(mug, resolution=48)
    isovalue = choose_isovalue(snapshot).density
    leaking = pierced(snapshot, [(23, 28), (19, 20)])
    opacity = _voxel_opacity(leaking)
    level = _level_of(isovalue, leaking)

    assert genus(_level_set(opacity, level, leaking)[0]) == 5
    assert genus(extracted(leaking, isovalue)) == 1


def test_nothing_is_filled_but_leaks() -> None:
    """A thin plate with a leak, a crevice that leads nowhere, and a window."""
    opacity = np.zeros((20, 20, 20), np.float32)
    opacity[1:-1, 1:-1, 3:6] = 1.0
    leak, crevice, window = np.s_[4:6, 4:6, 3:6], np.s_[10:12, 4:6, 4:6], np.s_[10:15, 10:15, 3:6]
    for hole in (leak, crevice, window):
        opacity[hole] = 0.1

    filled = without_tunnels(opacity, 0.5)

    assert (filled[4:6, 4:6, 4] == 1.0).all()
    filled[leak] = 0.1
    np.testing.assert_array_equal(filled, opacity)
