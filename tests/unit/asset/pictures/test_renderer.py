"""A picture shows every map of the file, so that a fault in a map is a fault in the picture."""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamfoundry.asset.files.glb_reader import DeliveredMesh
from dreamfoundry.asset.maps.srgb import linear_from_srgb, srgb_from_linear
from dreamfoundry.asset.pictures.renderer import Drawable, draw

SIZE_PX = 64
FLAT = (128, 128, 255)


def plain(color: tuple[int, int, int]) -> bytes:
    return encoded(np.full((8, 8, 3), color, np.uint8))


def single(level: int) -> bytes:
    return encoded(np.full((8, 8), level, np.uint8))


def encoded(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def document(**material: Any) -> Mapping[str, Any]:
    return {"materials": [{"pbrMetallicRoughness": {"roughnessFactor": 1.0, "metallicFactor": 0.0} | material}]}


@pytest.fixture
def wall() -> DeliveredMesh:
    """A gray square that faces +Z, its texture upright: u grows towards +X, v downwards."""
    vertices = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], np.float32)
    return DeliveredMesh(
        vertices=vertices,
        faces=np.array([(0, 1, 2), (0, 2, 3)], np.uint32),
        normals=np.tile(np.array((0, 0, 1), np.float32), (4, 1)),
        tangents=np.tile(np.array((1, 0, 0, 1), np.float32), (4, 1)),
        uvs=np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32),
        colors=None,
        base_color_png=plain((150, 150, 150)),
        normal_map_png=plain(FLAT),
        occlusion_png=single(255),
        document=document(),
    )


def front(mesh: DeliveredMesh, look: Any = "lit") -> np.ndarray:
    return draw(Drawable.of(mesh, SIZE_PX, look), 0.0, 0.0).astype(int)


def middle(mesh: DeliveredMesh, look: Any = "lit") -> float:
    return float(front(mesh, look)[SIZE_PX // 2 - 4 : SIZE_PX // 2 + 4, SIZE_PX // 2 - 4 : SIZE_PX // 2 + 4, :3].mean())


def with_normal(mesh: DeliveredMesh, x: float, y: float) -> DeliveredMesh:
    normal = np.array((x, y, np.sqrt(1.0 - x * x - y * y)))
    return replace(mesh, normal_map_png=plain(tuple(np.round(127.5 * (normal + 1.0)).astype(int).tolist())))


def test_a_flat_normal_map_changes_nothing(wall: DeliveredMesh) -> None:
    assert middle(wall) == pytest.approx(middle(replace(wall, normal_map_png=b"")), abs=1.0)


def test_what_the_normal_map_turns_up_is_brighter_as_the_light_is_above(wall: DeliveredMesh) -> None:
    up, down = middle(with_normal(wall, 0.0, 0.5)), middle(with_normal(wall, 0.0, -0.5))

    assert up > middle(wall) + 5 > down + 30


def test_what_the_normal_map_turns_to_the_left_is_brighter_as_the_light_is_on_the_left(wall: DeliveredMesh) -> None:
    assert middle(with_normal(wall, -0.5, 0.0)) > middle(with_normal(wall, 0.5, 0.0)) + 20


def test_a_wrong_sign_of_the_tangents_is_seen(wall: DeliveredMesh) -> None:
    assert wall.tangents is not None
    wrong = replace(wall, tangents=wall.tangents * np.array((1, 1, 1, -1), np.float32))

    assert middle(with_normal(wrong, 0.0, 0.5)) < middle(with_normal(wall, 0.0, 0.5)) - 30
    assert middle(with_normal(wrong, 0.0, 0.5)) == pytest.approx(middle(with_normal(wall, 0.0, -0.5)), abs=1.0)


def test_turned_tangents_turn_what_the_map_says(wall: DeliveredMesh) -> None:
    quarter = replace(wall, tangents=np.tile(np.array((0, 1, 0, 1), np.float32), (4, 1)))

    assert middle(with_normal(quarter, 0.5, 0.0)) == pytest.approx(middle(with_normal(wall, 0.0, 0.5)), abs=1.0)


def test_occlusion_darkens_what_the_sky_gives_but_not_the_key_light(wall: DeliveredMesh) -> None:
    closed = replace(wall, occlusion_png=single(0))

    assert 0.3 * middle(wall) < middle(closed) < middle(wall) - 15


def test_a_smooth_surface_mirrors_the_key_light_and_a_rough_one_does_not(wall: DeliveredMesh) -> None:
    halfway = with_normal(wall, -0.2371, 0.3952)  # between the eye and the key light
    rough, smooth = (
        middle(replace(halfway, document=document(roughnessFactor=roughness))) for roughness in (1.0, 0.235)
    )

    assert smooth > rough + 40


def test_a_polished_metal_is_dark_where_it_does_not_mirror_the_key_light(wall: DeliveredMesh) -> None:
    paint, metal = (
        middle(replace(wall, document=document(roughnessFactor=0.235, metallicFactor=metallic))) for metallic in (0, 1)
    )

    assert metal < paint - 10


def test_without_an_occlusion_texture_everything_is_open(wall: DeliveredMesh) -> None:
    assert np.array_equal(front(replace(wall, occlusion_png=b"")), front(wall))


def test_base_color_is_exact_in_the_bare_picture_and_the_ground_is_empty(wall: DeliveredMesh) -> None:
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:4, :4], texture[:4, 4:], texture[4:, :4] = (200, 30, 40), (30, 200, 40), (30, 40, 200)
    picture = front(replace(wall, base_color_png=encoded(texture)), "albedo")

    assert picture[24, 24].tolist() == [200, 30, 40, 255]  # first row and column of the file: above, on the left
    assert picture[24, 40].tolist() == [30, 200, 40, 255]
    assert picture[40, 24].tolist() == [30, 40, 200, 255]
    assert picture[0, 0].tolist() == [0, 0, 0, 0]


def test_colors_of_vertices_are_linear_light_and_stand_where_there_is_no_texture(wall: DeliveredMesh) -> None:
    linear = np.tile(np.array((0.5, 0.2, 0.1), np.float32), (4, 1))
    colored = replace(
        wall, colors=linear, uvs=None, tangents=None, base_color_png=b"", normal_map_png=b"", occlusion_png=b""
    )

    expected = srgb_from_linear(linear[0]) * 255.0
    assert front(colored, "albedo")[32, 32, :3] == pytest.approx(expected, abs=1.0)
    assert front(colored)[32, 32, 3] == 255


def test_edges_are_mixed_in_linear_light_and_not_with_the_ground(wall: DeliveredMesh) -> None:
    white = replace(wall, base_color_png=plain((255, 255, 255)))
    picture = draw(Drawable.of(white, SIZE_PX, "albedo"), 25.0, 10.0)
    edge = (picture[..., 3] > 0) & (picture[..., 3] < 255)

    assert edge.sum() > 20
    assert (picture[edge][:, :3] == 255).all()


def test_a_texture_far_finer_than_the_picture_is_averaged_in_linear_light(wall: DeliveredMesh) -> None:
    checkers = np.indices((1024, 1024)).sum(axis=0) % 2 * 255
    picture = front(replace(wall, base_color_png=encoded(np.dstack([checkers] * 3).astype(np.uint8))), "albedo")

    assert picture[28:36, 28:36, 0].mean() == pytest.approx(188, abs=2)  # half of the light, not half of the byte
    assert picture[28:36, 28:36, 0].std() < 3


def test_the_back_of_a_surface_is_not_drawn(wall: DeliveredMesh) -> None:
    assert not draw(Drawable.of(wall, SIZE_PX), 180.0, 0.0).any()


def test_a_broken_map_is_refused_with_its_name(wall: DeliveredMesh) -> None:
    for name, field in (
        ("base colour", "base_color_png"),
        ("normal", "normal_map_png"),
        ("occlusion", "occlusion_png"),
    ):
        broken: dict[str, Any] = {field: b"\x89PNG\r\n\x1a\nnothing"}
        with pytest.raises(ValueError, match=name):
            Drawable.of(replace(wall, **broken), SIZE_PX)


def test_the_two_directions_of_srgb_undo_each_other() -> None:
    values = np.linspace(0.0, 1.0, 50)

    assert srgb_from_linear(linear_from_srgb(values)) == pytest.approx(values, abs=1e-12)
    assert linear_from_srgb(np.array([0.5]))[0] == pytest.approx(0.21404, abs=1e-5)
