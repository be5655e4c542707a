"""Pictures show the delivered file from the right side, in its colours, on nothing."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamfoundry.asset.files.glb_reader import DeliveredMesh, read_glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.files.png import encode_png
from dreamfoundry.asset.pictures.framing import orbit_pose
from dreamfoundry.asset.pictures.thumbnail import judged_views, thumbnail, turntable, webp
from dreamfoundry.records import TexturedMesh


@pytest.fixture(scope="module")
def beacon(textured_beacon: TexturedMesh) -> DeliveredMesh:
    return read_glb(write_glb(textured_beacon, slug="beacon", level=0, metadata={}, copyright_text="nobody"))


def decoded(picture: bytes, frame: int = 0) -> np.ndarray:
    image = Image.open(io.BytesIO(picture))
    image.seek(frame)
    return np.asarray(image.convert("RGBA"))


def centroid(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def red(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 3] > 200) & (picture[..., 0] > 2 * picture[..., 1]) & (picture[..., 0] > 60)


def num_frames(data: bytes) -> int:
    picture: Any = Image.open(io.BytesIO(data))
    return int(picture.n_frames)


def green(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 3] > 200) & (picture[..., 1] > 2 * picture[..., 0]) & (picture[..., 1] > 60)


def gray(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 3] > 200) & (np.ptp(picture[..., :3], axis=-1) < 12)


def test_from_the_front_the_nose_is_before_the_body_and_the_arm_on_the_right(beacon: DeliveredMesh) -> None:
    front = turntable(beacon, 4, 96)[0].astype(float)

    assert centroid(red(front))[0] == pytest.approx(centroid(gray(front))[0], abs=8)
    assert centroid(green(front))[0] > centroid(gray(front))[0] + 10
    assert centroid(red(front))[1] < centroid(gray(front))[1]


def test_the_turn_goes_towards_plus_x_and_comes_around(beacon: DeliveredMesh) -> None:
    _, from_plus_x, from_behind, _ = turntable(beacon, 4, 96).astype(float)

    assert centroid(red(from_plus_x))[0] < centroid(gray(from_plus_x))[0] - 10
    assert not red(from_behind).any()
    assert centroid(green(from_behind))[0] < centroid(gray(from_behind))[0] - 10


def test_the_thumbnail_shows_front_and_left_side_whole_on_a_transparent_ground(beacon: DeliveredMesh) -> None:
    picture = thumbnail(beacon, 128).astype(float)

    assert picture.shape == (128, 128, 4)
    assert red(picture).sum() > 100
    assert green(picture).sum() > 100
    assert gray(picture).sum() > 500
    assert picture[[0, -1], :, 3].max() == picture[:, [0, -1], 3].max() == 0
    assert 0.1 < (picture[..., 3] > 0).mean() < 0.8


def test_light_comes_from_above_and_keeps_the_hue(textured_beacon: TexturedMesh) -> None:
    flat_color = np.broadcast_to(np.array([204, 26, 26], dtype=np.uint8), (64, 64, 3)).copy()
    mesh = replace(textured_beacon, base_color=flat_color)

    picture = thumbnail(read_glb(write_glb(mesh, slug="b", level=0, metadata={}, copyright_text="n")), 96).astype(float)

    body = picture[picture[..., 3] == 255]
    assert red(picture).sum() > 0.95 * len(body)
    assert body[:, 0].max() == pytest.approx(204, abs=25)
    assert body[:, 0].min() > 80


def test_files_of_pictures_keep_what_was_drawn_and_stay_transparent(beacon: DeliveredMesh) -> None:
    picture, frames = thumbnail(beacon, 64), turntable(beacon, 3, 48)

    assert np.array_equal(decoded(encode_png(picture)), picture)
    still, turning = webp([picture]), webp(frames)
    assert num_frames(still) == 1
    assert num_frames(turning) == 3
    for drawn, shown in ((picture, decoded(still)), (frames[2], decoded(turning, 2))):
        assert np.array_equal(shown[..., 3], drawn[..., 3])
        inside = drawn[..., 3] == 255
        assert np.abs(shown[inside].astype(int) - drawn[inside]).mean() < 8


def test_pictures_have_the_same_bytes_every_time(beacon: DeliveredMesh) -> None:
    assert encode_png(thumbnail(beacon, 64)) == encode_png(thumbnail(beacon, 64))
    assert webp(turntable(beacon, 2, 48)) == webp(turntable(beacon, 2, 48))


def test_judged_views_show_the_bare_texture_or_the_bare_shape_on_white(beacon: DeliveredMesh) -> None:
    albedo = judged_views(beacon, "albedo", 4, 64).astype(int)
    textureless = judged_views(beacon, "textureless", 4, 64).astype(int)

    assert albedo.shape == textureless.shape == (4, 64, 64, 3)
    assert (albedo[:, [0, -1]] == 255).all()
    assert (textureless[:, [0, -1]] == 255).all()
    reds = (np.abs(albedo[0] - [230, 26, 26]) < 12).all(axis=-1)
    assert reds.sum() > 50  # the nose in its own colour, without light
    assert (np.ptp(textureless, axis=-1) <= 1).all()
    inside = textureless[0][reds]
    assert inside.max() <= 204
    assert np.ptp(inside) > 20
    assert not np.array_equal(textureless[0], textureless[1])


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "place"),
    [(0.0, 0.0, (0, 0, 2)), (90.0, 0.0, (2, 0, 0)), (180.0, 0.0, (0, 0, -2)), (0.0, 90.0, (0, 2, 0))],
)
def test_azimuth_grows_from_plus_z_to_plus_x(
    azimuth_deg: float, elevation_deg: float, place: tuple[float, float, float]
) -> None:
    pose = orbit_pose(azimuth_deg, elevation_deg, 2.0, np.zeros(3))

    assert pose[:3, 3] == pytest.approx(place, abs=1e-12)
    assert -pose[:3, 2] == pytest.approx(-np.array(place) / 2, abs=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
