"""Fixtures of the unit tests: snapshots of known objects, made once.

pytest reads this file before jaxtyping can watch the package, so the package is imported inside
the fixtures only.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dreamfoundry.records import ColoredMesh, FieldSnapshot, Surface, TexturedMesh


@pytest.fixture(scope="session")
def snapshots() -> ModuleType:
    from support import snapshots

    return snapshots


@pytest.fixture(scope="session")
def make_snapshot(snapshots: ModuleType) -> Callable[..., FieldSnapshot]:
    return snapshots.make_snapshot


@pytest.fixture(scope="session")
def ball_snapshot(snapshots: ModuleType) -> FieldSnapshot:
    return snapshots.make_snapshot(snapshots.ball(0.5), resolution=32)


@pytest.fixture(scope="session")
def torus_snapshot(snapshots: ModuleType) -> FieldSnapshot:
    return snapshots.make_snapshot(snapshots.torus)


@pytest.fixture(scope="session")
def beacon_snapshot(snapshots: ModuleType) -> FieldSnapshot:
    """A gray box with a red nose on +Z and a green arm on +X."""
    return snapshots.make_snapshot(snapshots.beacon)


@pytest.fixture(scope="session")
def torus_surface(torus_snapshot: FieldSnapshot) -> Surface:
    from dreamfoundry.asset.surface.isosurface import choose_isovalue, extract_surface

    return extract_surface(torus_snapshot, choose_isovalue(torus_snapshot).density)[0]


@pytest.fixture(scope="session")
def beacon_surface(beacon_snapshot: FieldSnapshot) -> Surface:
    """The beacon with at most 1000 triangles, in scene units."""
    from dreamfoundry.asset.surface.decimate import decimate
    from dreamfoundry.asset.surface.isosurface import choose_isovalue, extract_surface

    return decimate(extract_surface(beacon_snapshot, choose_isovalue(beacon_snapshot).density)[0], 1000)


@pytest.fixture(scope="session")
def textured_beacon(beacon_snapshot: FieldSnapshot, beacon_surface: Surface) -> TexturedMesh:
    """The beacon with its colours in a texture of 128 px, one metre high, standing on the origin."""
    from dataclasses import replace

    from dreamfoundry.asset.maps.texture import surface_colors, textured
    from dreamfoundry.asset.maps.unwrap import unwrap
    from dreamfoundry.asset.surface.isosurface import choose_isovalue

    colors = surface_colors(beacon_snapshot, choose_isovalue(beacon_snapshot).density)
    mesh = textured(beacon_surface, unwrap(beacon_surface, 128, 60.0), colors, beacon_snapshot.bound, 128)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    base = (low + high) / 2
    base[1] = low[1]
    return replace(mesh, vertices=(mesh.vertices - base) / (high[1] - low[1]))


@pytest.fixture(scope="session")
def detailed_beacon(textured_beacon: TexturedMesh) -> TexturedMesh:
    """The same with noise as normals, which point outwards, and as occlusion."""
    from dataclasses import replace

    import numpy as np

    from dreamfoundry.asset.maps.tangents import vertex_tangents
    from dreamfoundry.records import DetailMaps

    mesh, generator = textured_beacon, np.random.default_rng(0)
    maps = DetailMaps(
        vertex_tangents(mesh.vertices, mesh.normals, mesh.uvs, mesh.faces),
        generator.integers((88, 88, 232), (168, 168, 256), (128, 128, 3), dtype=np.uint8),
        generator.integers(64, 256, (128, 128, 1), dtype=np.uint8),
    )
    return replace(mesh, detail=maps)


@pytest.fixture(scope="session")
def colored_beacon(textured_beacon: TexturedMesh) -> ColoredMesh:
    """The same with colours at its vertices that mean nothing."""
    import numpy as np

    from dreamfoundry.records import ColoredMesh

    mesh = textured_beacon
    colors = np.random.default_rng(0).random((len(mesh.vertices), 3), dtype=np.float32)
    return ColoredMesh(mesh.vertices, mesh.normals, mesh.faces, colors)
