"""Coarser levels are parts of the finest: its vertices, its charts, its pictures."""

from dataclasses import replace

import numpy as np
import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.maps.charts import chart_of_face, doubled_areas
from dreamfoundry.asset.maps.rasterize import num_covering
from dreamfoundry.asset.maps.shared import shared_levels
from dreamfoundry.asset.maps.unwrap import Atlas, unwrap
from dreamfoundry.asset.surface.decimate import decimate
from dreamfoundry.asset.surface.distance import surface_error
from dreamfoundry.asset.surface.triangles import genus, is_closed
from dreamfoundry.records import FieldSnapshot, Surface
from support.beacon_asset import METADATA, PROFILE, PROMPT

COUNTS = (800, 400, 200)


@pytest.fixture(scope="module")
def finest(torus_surface: Surface) -> Surface:
    return decimate(torus_surface, 2000)


@pytest.fixture(scope="module")
def atlas(finest: Surface) -> Atlas:
    return unwrap(finest, 256, 60.0, 64)


@pytest.fixture(scope="module")
def levels(finest: Surface, atlas: Atlas) -> list[tuple[Surface, Atlas]]:
    return shared_levels(finest, atlas, COUNTS)


def test_levels_have_the_triangles_that_were_asked_for(levels: list[tuple[Surface, Atlas]]) -> None:
    assert [count - len(surface.faces) in (0, 1) for count, (surface, _) in zip(COUNTS, levels, strict=True)] == [
        True
    ] * 3


def test_levels_stay_closed_and_keep_their_handles(levels: list[tuple[Surface, Atlas]]) -> None:
    for surface, _ in levels:
        assert is_closed(surface.faces.astype(np.int64), len(surface.vertices))
        assert genus(surface) == 1
        assert len(np.unique(surface.vertices, axis=0)) == len(surface.vertices)


def test_levels_stand_where_the_finest_does(finest: Surface, levels: list[tuple[Surface, Atlas]]) -> None:
    assert {float(surface.vertices[:, 1].min()) for surface, _ in levels} == {float(finest.vertices[:, 1].min())}


def test_every_vertex_is_one_of_the_finest_level_with_its_coordinates(
    finest: Surface, atlas: Atlas, levels: list[tuple[Surface, Atlas]]
) -> None:
    assert atlas.lightmap_uvs is not None
    for surface, part in levels:
        assert part.of_finest is not None
        assert part.lightmap_uvs is not None
        np.testing.assert_array_equal(part.uvs, atlas.uvs[part.of_finest])
        np.testing.assert_array_equal(part.lightmap_uvs, atlas.lightmap_uvs[part.of_finest])
        np.testing.assert_array_equal(surface.vertices[part.source], finest.vertices[atlas.source[part.of_finest]])
        np.testing.assert_array_equal(part.source[part.faces], surface.faces)


def test_no_triangle_turns_over_on_the_texture_and_none_lies_on_another(
    atlas: Atlas, levels: list[tuple[Surface, Atlas]]
) -> None:
    for _, part in levels:
        assert doubled_areas(part.uvs, part.faces).min() > 0.0
        times = num_covering(part.uvs.astype(np.float64) * 256, part.faces, 256)
        assert (times > 1).sum() <= 0.01 * (times > 0).sum()


def test_charts_stay_what_they_were(atlas: Atlas, levels: list[tuple[Surface, Atlas]]) -> None:
    chart_of_split = np.zeros(len(atlas.uvs), np.int64)
    chart_of_split[atlas.faces] = chart_of_face(atlas.faces, len(atlas.uvs))[:, None]
    for _, part in levels:
        kept = chart_of_split[part.of_finest][part.faces]
        assert (kept == kept[:, :1]).all()
        assert chart_of_face(part.faces, len(part.uvs)).max() >= kept.max()


def test_levels_are_hardly_farther_from_the_dense_surface_than_with_vertices_placed_freely(
    torus_surface: Surface, levels: list[tuple[Surface, Atlas]]
) -> None:
    for surface, _ in levels:
        free = surface_error(decimate(torus_surface, len(surface.faces)), torus_surface)
        assert surface_error(surface, torus_surface).mean < 2.5 * free.mean


def test_where_every_corner_has_three_charts_nothing_moves(finest: Surface) -> None:
    shattered = Atlas(
        finest.faces.reshape(-1),
        np.arange(finest.faces.size, dtype=np.uint32).reshape(-1, 3),
        np.tile(np.array([(0, 0), (1, 0), (0, 1)], np.float32), (len(finest.faces), 1)),
    )

    assert shared_levels(finest, shattered, COUNTS) == []


def test_all_levels_of_an_export_have_one_material_and_one_set_of_pictures(beacon_snapshot: FieldSnapshot) -> None:
    profile = replace(PROFILE, shared_atlas=True, texture_px=(128, 64))

    bundle = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=METADATA)

    first, second = (Glb(name, bundle.files[name]) for name in (f"{bundle.slug}.glb", f"{bundle.slug}_LOD1.glb"))
    assert len(second.mesh.faces) < len(first.mesh.faces)
    assert second.mesh.base_color_png == first.mesh.base_color_png
    assert second.document["materials"] == first.document["materials"]
    assert [image["name"] for image in second.document["images"]] == [
        image["name"] for image in first.document["images"]
    ]
    places = {tuple(place) for place in first.mesh.vertices.tolist()}
    assert {tuple(place) for place in second.mesh.vertices.tolist()} <= places
    own = export_asset(beacon_snapshot, PROMPT, profile=replace(profile, shared_atlas=False), metadata=METADATA)
    assert bundle.scores["texture_gpu_bytes"] < own.scores["texture_gpu_bytes"]
