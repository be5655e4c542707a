"""The ruler of workmanship against shapes whose figures are known by hand."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from dreamfoundry.asset.files.glb import split_glb
from dreamfoundry.evaluation.delivery.workmanship import (
    Part,
    chart_sizes,
    clashing_names,
    contradictions,
    edge_angle_deg,
    outside,
    qualities,
    read_parts,
    seam_jump,
    stands,
    texture_gpu_bytes,
    workmanship,
)


def part(mesh: trimesh.Trimesh) -> Part:
    return Part(np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces))


def textured_box(picture: Image.Image, name: str = "M_box") -> bytes:
    """A cube of which each side is a chart of its own over the whole picture."""
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    box.unmerge_vertices()
    u, v = box.vertices[:, 0] + 0.5, box.vertices[:, 1] + 0.5
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture, name=name)
    box.visual = trimesh.visual.TextureVisuals(uv=np.stack([u, v], axis=1), material=material)
    return box.export(file_type="glb", include_normals=True)


def test_faces_that_share_vertices_are_one_chart() -> None:
    faces = np.array([(0, 1, 2), (2, 1, 3), (4, 5, 6)])

    assert sorted(chart_sizes(Part(np.zeros((7, 3)), faces))) == [1, 2]


def test_an_equilateral_triangle_has_quality_one_and_a_needle_none() -> None:
    corners = [(0, 0, 0), (1, 0, 0), (0.5, np.sqrt(0.75), 0), (0.5, 1e-6, 0)]
    solid = trimesh.Trimesh(corners, [(0, 1, 2), (0, 1, 3)], process=False)

    assert qualities(solid) == pytest.approx([1.0, 0.0], abs=1e-5)


def test_a_seam_jumps_by_the_difference_of_its_sides() -> None:
    """Left half red 200, right half red 50; the two ends of a seam lie in either."""
    picture = np.zeros((64, 64, 3))
    picture[:, :32, 0], picture[:, 32:, 0] = 200.0, 50.0
    places = np.array([(0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
    uvs = np.array([(0.25, 0.5), (0.75, 0.5), (0.1, 0.1), (0.2, 0.2)])
    mesh = Part(places, np.array([(0, 2, 3), (1, 3, 2)]), uvs, picture)

    assert seam_jump(mesh, 0) == pytest.approx(150.0)
    assert seam_jump(mesh, 3) == pytest.approx(150.0)
    assert seam_jump(mesh, 6) == 0.0


@pytest.mark.parametrize(("lean", "expected"), [(0.0, True), (0.4, True), (0.6, False)])
def test_a_leaning_column_stands_until_its_middle_leaves_its_foot(lean: float, expected: bool) -> None:
    """A sheared unit cube: its centre of mass moves by half of what its top does."""
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    sheared = box.vertices.copy()
    sheared[:, 0] += (sheared[:, 1] + 0.5) * 2 * lean

    assert stands(trimesh.Trimesh(sheared, box.faces)) is expected


def test_a_point_does_not_carry() -> None:
    cone = trimesh.creation.cone(0.5, 1.0, transform=trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))

    assert not stands(cone)


def test_what_a_hull_does_not_hold_is_measured_to_its_surface() -> None:
    ball, box = trimesh.creation.icosphere(radius=1.0), trimesh.creation.box((1.0, 1.0, 1.0))

    assert outside(part(box), [part(ball)]) == 0.0
    assert outside(part(ball), [part(box)]) == pytest.approx(0.5, abs=0.01)
    assert outside(part(box), [part(trimesh.creation.box((0.8, 0.8, 0.8)))]) == pytest.approx(0.1 * np.sqrt(3))


def test_two_hulls_hold_together_what_neither_holds_alone() -> None:
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    halves = [
        part(box.copy().apply_transform(trimesh.transformations.translation_matrix((x, 0, 0)))) for x in (-0.5, 0.5)
    ]

    assert outside(part(box), halves) == pytest.approx(0.0, abs=1e-9)


def test_a_box_has_the_figures_of_a_box(tmp_path: Path) -> None:
    level, hulls = tmp_path / "box.glb", tmp_path / "hulls.glb"
    level.write_bytes(textured_box(Image.new("RGB", (32, 32), (90, 10, 10))))
    hulls.write_bytes(trimesh.creation.box((1.0, 1.0, 1.0)).export(file_type="glb"))

    figures = workmanship([level], hulls)

    assert figures["charts_LOD0"] == 12  # its vertices were split, two triangles a side
    assert figures["small_chart_share_any_level"] == 1.0
    assert figures["flat_uv_triangles_LOD0"] == 8  # the four sides that lie edge-on to the picture
    assert figures["genus_LOD0"] == 0
    assert figures["num_genera"] == 1
    assert figures["sliver_share_LOD0"] == 0.0
    # 12 edges of 90 degrees, 6 diagonals of none; 12 faces
    assert figures["edge_angle_deg"] == pytest.approx(60.0 * np.sqrt(12 / 20_000))
    assert figures["tips_over"] == 0.0
    assert figures["seam_jump_LOD0"] == pytest.approx(0.0)
    assert figures["hull_outside_share"] == pytest.approx(0.0, abs=1e-7)
    assert figures["texture_gpu_bytes"] == pytest.approx(32 * 32 * 4 * 4 / 3)


def test_angles_of_a_ball_compare_whatever_its_fineness() -> None:
    coarse, fine = (edge_angle_deg(trimesh.creation.icosphere(subdivisions=number)) for number in (3, 5))

    assert coarse == pytest.approx(fine, rel=0.02)


def test_the_genus_counts_handles(tmp_path: Path) -> None:
    ring, ball = tmp_path / "ring.glb", tmp_path / "ball.glb"
    ring.write_bytes(trimesh.creation.torus(1.0, 0.3).export(file_type="glb"))
    ball.write_bytes(trimesh.creation.icosphere(subdivisions=2).export(file_type="glb"))

    figures = workmanship([ring, ball], None)

    assert (figures["genus_LOD0"], figures["genus_LOD1"], figures["num_genera"]) == (1, 0, 2)


def test_a_picture_in_several_levels_counts_once(tmp_path: Path) -> None:
    levels = [tmp_path / f"{number}.glb" for number in range(3)]
    for level, colour in zip(levels, (10, 10, 20), strict=True):
        level.write_bytes(textured_box(Image.new("RGB", (32, 32), (colour, 0, 0))))

    assert texture_gpu_bytes(levels) == pytest.approx(2 * 32 * 32 * 4 * 4 / 3)


def test_a_name_clashes_where_the_contents_differ(tmp_path: Path) -> None:
    files = []
    for number, (name, colour) in enumerate((("M_a", 10), ("M_a", 10), ("M_b", 10), ("M_b", 99))):
        files.append(tmp_path / f"{number}.glb")
        files[-1].write_bytes(textured_box(Image.new("RGB", (8, 8), (colour, 0, 0)), name))

    assert clashing_names(files[:3]) == []
    assert "M_b" in clashing_names(files)


def test_a_score_that_is_not_what_was_measured_is_named_with_both_numbers() -> None:
    figures = {"charts_LOD0": 12.0, "seam_jump_LOD1": 2.5, "genus_LOD0": 0.0, "edge_angle_deg": 3.0, "tips_over": None}

    assert contradictions(figures, {"charts_LOD0": 12.0, "seam_jump_mip3_LOD1": 2.5001, "edge_angle_deg": 9.0}) == []
    assert contradictions(figures, {"charts_LOD0": 13.0, "seam_jump_mip3_LOD1": 3.0}) == [
        "charts_LOD0: measured 12, asset.json says 13",
        "seam_jump_LOD1: measured 2.5, asset.json says 3",
    ]


def test_uvs_and_pictures_are_read_the_right_way_up(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4), (0, 0, 0))
    picture.putpixel((0, 0), (255, 0, 0))
    path = tmp_path / "box.glb"
    path.write_bytes(textured_box(picture))

    document, binary = split_glb(path.read_bytes())
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"]]
    view = document["bufferViews"][accessor["bufferView"]]
    stored = np.frombuffer(binary, "<f4", accessor["count"] * 2, view.get("byteOffset", 0)).reshape(-1, 2)

    (read,) = read_parts(path)
    assert read.uvs == pytest.approx(stored)
    assert read.picture is not None
    assert read.picture[0, 0].tolist() == [255, 0, 0]
