"""Between charts there are texels with which both sides of a seam look alike from afar; charts stay what they are."""

import numpy as np
import pytest

from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.gates.maps.charts import seam_jumps
from dreamfoundry.asset.maps import seams
from dreamfoundry.asset.maps.rasterize import sample_texture
from dreamfoundry.asset.maps.seams import agreeing, seam_points
from dreamfoundry.asset.maps.texture import chart_texels
from dreamfoundry.asset.maps.unwrap import Atlas
from dreamfoundry.records import TexturedMesh

TETRAHEDRON = np.array([(0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)], np.uint32)


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    """A tetrahedron whose faces are charts of their own, in the corners of the texture."""
    corners = np.array([(0.1, 0.1), (0.35, 0.1), (0.1, 0.35)])
    uvs = np.concatenate([corners + shift for shift in ((0.0, 0.0), (0.5, 0.05), (0.05, 0.5), (0.5, 0.5))])
    return Atlas(TETRAHEDRON.reshape(-1), np.arange(12, dtype=np.uint32).reshape(4, 3), uvs.astype(np.float32))


@pytest.fixture(scope="module")
def is_chart(atlas: Atlas) -> np.ndarray:
    return chart_texels(atlas, 32).is_chart


@pytest.fixture(scope="module")
def picture(is_chart: np.ndarray) -> np.ndarray:
    """Charts in one soft colour on a ground that has nothing to do with it."""
    soft = np.random.default_rng(1).integers(90, 110, (32, 32, 3))
    loud = np.random.default_rng(2).integers(0, 255, (32, 32, 3))
    mixed: np.ndarray = np.where(is_chart[..., None], soft, loud).astype(np.uint8)
    return mixed


def jumps_of(picture: np.ndarray, atlas: Atlas, mip: int) -> np.ndarray:
    side = len(picture) >> mip
    level = picture.astype(np.float32).reshape(side, 1 << mip, side, 1 << mip, 3).mean(axis=(1, 3))
    one, other = seam_points(atlas)
    jumps: np.ndarray = sample_texture(level, one) - sample_texture(level, other)
    return jumps


def test_points_on_both_sides_of_a_seam_are_one_place_of_the_surface(atlas: Atlas) -> None:
    one, other = seam_points(atlas)

    assert len(one) == len(other) == 6 * len(seams.PLACES)  # the edges of a tetrahedron
    corner = {tuple(uv): vertex for uv, vertex in zip(atlas.uvs.astype(float).tolist(), atlas.source, strict=True)}
    ends = [(corner[tuple(a)], corner[tuple(b)]) for a, b in zip(one[:6].tolist(), other[:6].tolist(), strict=True)]
    assert all(first == second for first, second in ends)


def test_seams_look_alike_from_afar_and_charts_stay(atlas: Atlas, is_chart: np.ndarray, picture: np.ndarray) -> None:
    made = agreeing(picture, atlas, is_chart)

    assert np.array_equal(made[is_chart], picture[is_chart])
    for mip in (2, 3):
        assert np.abs(jumps_of(made, atlas, mip)).mean() < 0.5 * np.abs(jumps_of(picture, atlas, mip)).mean()


def test_the_texels_are_those_of_a_solver_that_tries_one_at_a_time(atlas: Atlas, is_chart: np.ndarray) -> None:
    picture = np.where(is_chart[..., None], np.uint8(120), np.uint8(100)).repeat(3, axis=2)
    picture[:16][is_chart[:16]] = 140

    made = agreeing(picture, atlas, is_chart)

    changes = np.flatnonzero((made != picture).any(axis=2))
    charts = np.pad(is_chart, 1)
    around = [k for k in range(32 * 32) if not charts[k // 32 : k // 32 + 3, k % 32 : k % 32 + 3].any()]
    assert set(changes) <= set(around)

    def jumps(level: np.ndarray) -> np.ndarray:
        return np.concatenate([jumps_of(level, atlas, mip)[:, 0] for mip in seams.MIPS])

    columns = []
    for texel in around:
        one = np.zeros((32 * 32, 3))
        one[texel] = 1.0
        columns.append(jumps(one.reshape(32, 32, 3)))
    reach = np.stack(columns, axis=1)
    normal = reach.T @ reach + seams.STIFFNESS * np.eye(len(around))
    expected = picture.reshape(-1, 3)[around, 0] - np.linalg.solve(normal, reach.T @ jumps(picture))
    assert made.reshape(-1, 3)[around, 0] == pytest.approx(expected.clip(0, 255), abs=1.0)


def test_a_large_texture_and_one_without_seams_stay(atlas: Atlas, is_chart: np.ndarray, picture: np.ndarray) -> None:
    one_chart = Atlas(np.arange(4, dtype=np.uint32), TETRAHEDRON, np.zeros((4, 2), np.float32))
    large = np.zeros((2 * seams.LARGEST_PX, 2 * seams.LARGEST_PX, 3), np.uint8)

    assert agreeing(picture, one_chart, is_chart) is picture
    assert agreeing(large, atlas, np.zeros(large.shape[:2], np.bool_)) is large


def test_the_seams_of_a_small_level_are_hardly_seen_from_afar(textured_beacon: TexturedMesh) -> None:
    data = write_glb(textured_beacon, slug="beacon", level=0, metadata={}, copyright_text="nobody")

    jumps = seam_jumps(Glb("beacon.glb", data).mesh, (0, 2, 3))

    assert all(jump < limit for jump, limit in zip(jumps, (1.0, 5.0, 10.0), strict=True)), jumps
