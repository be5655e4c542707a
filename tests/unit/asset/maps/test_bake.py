"""The maps of a level show the surface that it was decimated from."""

from dataclasses import replace

import numpy as np
import pytest

from dreamfoundry.asset.maps.bake import DenseSurface, bake
from dreamfoundry.asset.maps.rasterize import Fragments, sample_texture
from dreamfoundry.asset.maps.tangents import vertex_normals
from dreamfoundry.asset.maps.texture import chart_texels, textured
from dreamfoundry.asset.maps.unwrap import Atlas, unwrap
from dreamfoundry.asset.surface.decimate import decimate
from dreamfoundry.asset.surface.isosurface import choose_isovalue, extract_surface
from dreamfoundry.records import DetailMaps, FieldSnapshot, Surface, TexturedMesh

TEXTURE_PX = 128
GRAY = np.full((2, 2, 2, 3), 90, dtype=np.uint8)


AROUND, ACROSS = 160, 80
"""Vertices of the ring around its axis and around its tube."""


@pytest.fixture(scope="module")
def dense() -> DenseSurface:
    """A ring around the y axis, of radius 0.5, with a tube of radius 0.2."""
    around = np.linspace(0.0, 2.0 * np.pi, AROUND, endpoint=False)[:, None]
    across = np.linspace(0.0, 2.0 * np.pi, ACROSS, endpoint=False)[None]
    radius = 0.5 + 0.2 * np.cos(across)
    places = np.broadcast_arrays(radius * np.sin(around), 0.2 * np.sin(across), radius * np.cos(around))
    number = np.arange(AROUND * ACROSS).reshape(AROUND, ACROSS)
    right, up = np.roll(number, -1, axis=0), np.roll(number, -1, axis=1)
    corner = np.roll(right, -1, axis=1)
    faces = np.concatenate((np.stack((number, right, corner), axis=-1), np.stack((number, corner, up), axis=-1)))
    return DenseSurface.of(
        Surface(np.stack(places, axis=-1).reshape(-1, 3).astype(np.float32), faces.reshape(-1, 3).astype(np.uint32))
    )


@pytest.fixture(scope="module")
def coarse(dense: DenseSurface) -> Surface:
    """The ring with 300 triangles: its own normals are far off."""
    return decimate(dense.surface, 300)


@pytest.fixture(scope="module")
def atlas(coarse: Surface) -> Atlas:
    return unwrap(coarse, TEXTURE_PX, 120.0)


@pytest.fixture(scope="module")
def level(coarse: Surface, atlas: Atlas, dense: DenseSurface) -> TexturedMesh:
    return textured(coarse, atlas, GRAY, 1.0, TEXTURE_PX, dense)


def detail(mesh: TexturedMesh) -> DetailMaps:
    assert mesh.detail is not None
    return mesh.detail


def tangents(mesh: TexturedMesh) -> np.ndarray:
    found = detail(mesh).tangents
    assert found is not None
    return found


def texels_of(mesh: TexturedMesh) -> Fragments:
    atlas = Atlas(np.arange(len(mesh.vertices), dtype=np.uint32), mesh.faces, mesh.uvs)
    return chart_texels(atlas, TEXTURE_PX).fragments


def decoded(mesh: TexturedMesh, texels: Fragments, sign: float = 1.0) -> np.ndarray:
    """Normals as a renderer makes them from the map and the tangents of the file (glTF 2.0 chapter 3.9.3)."""
    normal_map = detail(mesh).normal_map
    assert normal_map is not None
    local = sample_texture(normal_map, texels.interpolate(mesh.uvs, mesh.faces)) * 2.0 - 1.0
    normal, tangent = texels.interpolate(mesh.normals, mesh.faces), texels.interpolate(tangents(mesh), mesh.faces)
    bitangent = np.cross(normal, tangent[:, :3]) * np.sign(tangent[:, 3:]) * sign
    found = local[:, :1] * tangent[:, :3] + local[:, 1:2] * bitangent + local[:, 2:] * normal
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def true_normals(mesh: TexturedMesh, texels: Fragments) -> np.ndarray:
    """Normals of the ring at its points nearest to the texels, by its formula."""
    x, y, z = texels.interpolate(mesh.vertices, mesh.faces).T
    radius = np.hypot(x, z)
    away = np.stack((x * (1.0 - 0.5 / radius), y, z * (1.0 - 0.5 / radius)), axis=1)
    return away / np.linalg.norm(away, axis=1, keepdims=True)


def angles_deg(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    unit = one / np.linalg.norm(one, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip((unit * other).sum(axis=1), -1.0, 1.0)))


def test_the_decoded_normal_map_gives_back_the_normals_of_the_dense_surface(level: TexturedMesh) -> None:
    texels = texels_of(level)
    expected = true_normals(level, texels)

    with_map = angles_deg(decoded(level, texels), expected)
    without = angles_deg(texels.interpolate(level.normals, level.faces), expected)

    assert np.median(with_map) < 1.0
    assert np.percentile(with_map, 99) < 4.0
    assert np.median(without) > 2.5


def test_the_wrong_sign_of_the_bitangent_spoils_the_decoded_normals(level: TexturedMesh) -> None:
    texels = texels_of(level)

    wrong = angles_deg(decoded(level, texels, sign=-1.0), true_normals(level, texels))

    assert np.median(wrong) > 3.0


def test_mirrored_charts_decode_as_well_as_others(coarse: Surface, atlas: Atlas, dense: DenseSurface) -> None:
    turned = replace(atlas, uvs=(atlas.uvs * (-1, 1) + (1, 0)).astype(np.float32))

    for charts in (atlas, turned):
        mesh = textured(coarse, charts, GRAY, 1.0, TEXTURE_PX, dense)
        texels = texels_of(mesh)
        assert np.median(angles_deg(decoded(mesh, texels), true_normals(mesh, texels))) < 1.0
    original = textured(coarse, atlas, GRAY, 1.0, TEXTURE_PX, dense)
    assert (tangents(mesh)[:, 3] == -tangents(original)[:, 3]).all()


def test_a_level_that_is_the_dense_surface_has_no_normal_map_since_it_would_be_flat(
    coarse: Surface, atlas: Atlas, level: TexturedMesh
) -> None:
    dense = DenseSurface.of(coarse)
    baked = bake(dense, texels_of(level), level.vertices, level.normals, tangents(level), level.faces)

    assert np.abs(baked.normal_map.astype(int) - (128, 128, 255)).max() <= 1
    found = detail(textured(coarse, atlas, GRAY, 1.0, TEXTURE_PX, dense))
    assert (found.normal_map, found.tangents) == (None, None)


def test_a_texel_that_finds_nothing_shows_the_level_itself(dense: DenseSurface, level: TexturedMesh) -> None:
    far = (level.vertices * 3.0).astype(np.float32)

    baked = bake(dense, texels_of(level), far, level.normals, tangents(level), level.faces)

    assert baked.found_share == 0.0
    assert (baked.normal_map == (128, 128, 255)).all()


@pytest.mark.parametrize("height", [-0.01, 0.02], ids=["inside", "outside"])
def test_a_texel_takes_its_own_surface_and_not_that_of_a_neighbour(height: float) -> None:
    """Two thin plates, closer than the reach: the lower one ends at 0, the upper one begins at 0.03."""
    low, high = box((-1.0, -0.04, -1.0), (1.0, 0.0, 1.0)), box((-1.0, 0.03, -1.0), (1.0, 0.07, 1.0))
    both = Surface(
        np.concatenate((low.vertices, high.vertices)), np.concatenate((low.faces, high.faces + np.uint32(8)))
    )
    upwards = (both.vertices[:, 1:2] == 0.0) * 2.0 - 1.0
    dense = replace(DenseSurface.of(both), normals=(upwards * (0.6, 0.8, 0.0)).astype(np.float32))
    vertices = np.array([(-0.5, height, -0.5), (0, height, 0.5), (0.5, height, -0.5)], np.float32)
    up = np.tile(np.array([(0, 1, 0)], np.float32), (3, 1))
    tangents = np.tile(np.array([(1, 0, 0, 1)], np.float32), (3, 1))
    texel = Fragments(np.array([0]), np.array([0]), np.array([(0.3, 0.4, 0.3)]))

    baked = bake(dense, texel, vertices, up, tangents, np.array([(0, 1, 2)], np.uint32))

    assert baked.found_share == 1.0
    np.testing.assert_allclose(baked.normal_map, [(204, 128, 229.5)], atol=0.5)


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Surface:
    corners = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in sides for face in ((a, b, c), (a, c, d))]
    return Surface(np.array(corners, np.float32), np.array(faces, np.uint32))


def test_a_ball_is_open_everywhere_and_the_hole_of_a_ring_is_darker_than_its_rim(
    ball_snapshot: FieldSnapshot, dense: DenseSurface
) -> None:
    ball = DenseSurface.of(extract_surface(ball_snapshot, choose_isovalue(ball_snapshot).density)[0])
    radius = np.linalg.norm(dense.surface.vertices[:, [0, 2]], axis=1)

    assert ball.ambient_visibility.min() > 0.97
    assert dense.ambient_visibility[radius > 0.65].mean() > 0.97
    assert dense.ambient_visibility[radius < 0.35].mean() < 0.8


def test_the_bottom_of_a_well_sees_the_share_of_the_sky_that_its_opening_has() -> None:
    """For a point at the bottom of a round well of depth d and radius r: r^2 / (r^2 + d^2)."""
    angle = np.linspace(0.0, 2.0 * np.pi, 65)[:-1]
    circle = np.stack((np.cos(angle), np.zeros(64), np.sin(angle)), axis=1)
    depth, radius = 0.7, 0.5
    rings = [circle * radius, circle * radius + (0, depth, 0)]
    vertices = np.concatenate(([(0.0, 0.0, 0.0)], *rings)).astype(np.float32)
    k, after = np.arange(64), (np.arange(64) + 1) % 64
    floor = np.stack((np.zeros(64, int), 1 + after, 1 + k), axis=1)
    wall = np.concatenate(
        (np.stack((1 + k, 1 + after, 65 + k), axis=1), np.stack((1 + after, 65 + after, 65 + k), axis=1))
    )
    well = Surface(vertices, np.concatenate((floor, wall)).astype(np.uint32))
    assert vertex_normals(well)[0] == pytest.approx([0, 1, 0], abs=1e-6)

    share = DenseSurface.of(well, smoothing_rounds=0).ambient_visibility[0]

    assert share == pytest.approx(radius**2 / (radius**2 + depth**2), abs=0.02)


def test_occlusion_has_no_grain(dense: DenseSurface) -> None:
    """Every place around the axis of the ring sees as much of the sky."""
    ambient_visibility = dense.ambient_visibility.reshape(AROUND, ACROSS)

    assert ambient_visibility.std(axis=0).max() < 4 / 255


def test_equal_surfaces_give_equal_maps(level: TexturedMesh, dense: DenseSurface) -> None:
    again = DenseSurface.of(replace(dense.surface, vertices=dense.surface.vertices.copy()))
    frames = (level.vertices, level.normals, tangents(level), level.faces)

    one, other = (bake(surface, texels_of(level), *frames) for surface in (dense, again))

    assert np.array_equal(one.normal_map, other.normal_map)
    assert np.array_equal(one.occlusion, other.occlusion)


def test_every_texel_of_the_background_repeats_its_nearest_chart_texel(level: TexturedMesh) -> None:
    covered = np.zeros((TEXTURE_PX, TEXTURE_PX), dtype=bool)
    covered.reshape(-1)[texels_of(level).pixel] = True
    rows, columns = np.nonzero(covered)
    generator = np.random.default_rng(0)
    texels = chart_texels(Atlas(np.arange(len(level.vertices), dtype=np.uint32), level.faces, level.uvs), TEXTURE_PX)
    picture = texels.texture(generator.integers(0, 255, (len(texels.fragments.pixel), 3), dtype=np.uint8))

    for row, column in generator.choice(np.argwhere(~covered), 50):
        away = (rows - row) ** 2 + (columns - column) ** 2
        nearest = np.flatnonzero(away == away.min())
        assert (picture[row, column] == picture[rows[nearest], columns[nearest]]).all(axis=-1).any()
