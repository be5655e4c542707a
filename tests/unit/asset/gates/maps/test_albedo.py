"""Light that is painted onto an object is found, other paint is not."""

from dataclasses import replace

import numpy as np
import pytest

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.gates.maps.albedo import ALBEDO
from dreamfoundry.asset.maps.srgb import linear_from_srgb
from dreamfoundry.records import ColoredMesh, Finding, Surface
from support.beacon_asset import METADATA, PROFILE

GREEN, RED = np.array((0.2, 0.6, 0.2)), np.array((0.7, 0.1, 0.1))


@pytest.fixture(scope="module")
def ring(torus_surface: Surface) -> ColoredMesh:
    """A torus whose vertex normals are those of its tube, without colour."""
    middle = torus_surface.vertices.astype(np.float64) * (1, 0, 1)
    middle *= (
        0.5
        * (np.linalg.norm(middle, axis=1).min() + np.linalg.norm(middle, axis=1).max())
        / np.linalg.norm(middle, axis=1, keepdims=True)
    )
    normals = torus_surface.vertices - middle
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    return ColoredMesh(torus_surface.vertices, normals, torus_surface.faces, np.zeros_like(normals))


def checked(mesh: ColoredMesh, srgb: np.ndarray) -> tuple[list[Finding], dict[str, float]]:
    colors = np.broadcast_to(linear_from_srgb(srgb), mesh.vertices.shape).astype(np.float32)
    data = write_glb(
        replace(mesh, colors=np.ascontiguousarray(colors)), slug="ring", level=0, metadata=METADATA, copyright_text="x"
    )
    found = ALBEDO.run(AssetDraft("ring", PROFILE, 1.0, METADATA, (Glb("ring.glb", data),)))
    return list(found.findings), dict(found.scores)


def test_painted_light_is_found(ring: ColoredMesh) -> None:
    (finding,), scores = checked(ring, GREEN * (0.8 + 0.4 * ring.normals[:, 1:2]))

    assert (finding.severity, finding.gate) == ("warn", "baked_light")
    assert finding.message.startswith("ring.glb: in one hue")
    assert scores["lightness_up_correlation"] > 0.9
    assert scores["lightness_up_spread"] > 15


def test_shade_painted_from_above_is_no_light_from_above(ring: ColoredMesh) -> None:
    findings, scores = checked(ring, GREEN * (0.8 - 0.4 * ring.normals[:, 1:2]))

    assert findings == []
    assert scores["lightness_up_correlation"] < -0.9
    assert scores["lightness_up_spread"] < -15


def test_one_colour_is_no_light(ring: ColoredMesh) -> None:
    findings, scores = checked(ring, GREEN)

    assert findings == []
    assert scores == {"lightness_up_correlation": 0.0, "lightness_up_spread": pytest.approx(0.0, abs=1e-3)}


def test_a_light_lid_of_another_hue_is_paint(ring: ColoredMesh) -> None:
    """Red below, and above a green that is lighter."""
    findings, scores = checked(ring, np.where(ring.normals[:, 1:2] > 0.0, GREEN, RED))

    assert findings == []
    assert abs(scores.get("lightness_up_correlation", 0.0)) < 0.5


def test_grain_is_no_light_however_it_correlates(ring: ColoredMesh) -> None:
    findings, scores = checked(ring, GREEN * (1.0 + 0.02 * ring.normals[:, 1:2]))

    assert findings == []
    assert scores["lightness_up_correlation"] > 0.9


def test_spots_are_no_light(ring: ColoredMesh) -> None:
    spots = np.random.default_rng(0).uniform(0.4, 1.2, (len(ring.vertices), 1))

    findings, scores = checked(ring, GREEN * spots)

    assert findings == []
    assert abs(scores["lightness_up_correlation"]) < 0.1
