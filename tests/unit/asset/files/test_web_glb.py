"""The file for browsers is small, shows the same thing and says the same about itself."""

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamfoundry.asset.files import xmp
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.files.sidecar import file_entry, glb_contents
from dreamfoundry.asset.files.web_glb import PACKAGES, WEB_GLB, web_glb
from dreamfoundry.asset.gates.khronos import check_khronos
from dreamfoundry.asset.maps.rasterize import sample_texture
from dreamfoundry.errors import NodeUnavailable
from dreamfoundry.host.nodejs import package_folder
from dreamfoundry.records import Finding, TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile

METADATA = {"prompt": "a beacon", "negative_prompt": "", "nested": {"b": [1.5]}}


def produced(master: bytes) -> tuple[Mapping[str, bytes], list[Finding]]:
    profile = ExportProfile(web=True)
    return WEB_GLB.produce(AssetDraft("beacon", profile, 1.0, METADATA, (Glb("beacon.glb", master),)))


def described(name: str, data: bytes) -> dict[str, Any]:
    return file_entry(name, data) | glb_contents(Glb(name, data))


def made(master: bytes) -> bytes:
    """The file for browsers; only where its tools are absent may there be none."""
    try:
        for package in PACKAGES:
            package_folder(package)
    except NodeUnavailable as absent:
        pytest.skip(str(absent))
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    files, findings = produced(master)
    assert findings == []
    return files["beacon_web.glb"]


@pytest.fixture(scope="module")
def master(textured_beacon: TexturedMesh) -> bytes:
    plain = write_glb(textured_beacon, slug="beacon", level=0, metadata=METADATA, copyright_text="nobody")
    return xmp.stamped(plain, {"@id": "", "@context": {}, "dc:format": "model/gltf-binary"})


@pytest.fixture(scope="module")
def web(master: bytes) -> bytes:
    return made(master)


def test_it_is_smaller_and_holds_as_many_triangles(master: bytes, web: bytes) -> None:
    before, after = described("a.glb", master), described("a_web.glb", web)

    assert after["bytes"] < 0.6 * before["bytes"]
    assert after["triangles"] == before["triangles"]
    assert after["vertices"] <= before["vertices"]
    assert after["textures_px"] == {"T_beacon_web_BC": [128, 128]}


def test_names_extras_rights_and_xmp_stay(master: bytes, web: bytes) -> None:
    before, after = (split_glb(data)[0] for data in (master, web))

    assert {key: after["asset"][key] for key in ("copyright", "extras", "extensions")} == {
        key: before["asset"][key] for key in ("copyright", "extras", "extensions")
    }
    assert after["scenes"][0]["extras"] == {"dreamfoundry": METADATA}
    assert after["extensions"]["KHR_xmp_json_ld"] == before["extensions"]["KHR_xmp_json_ld"]
    assert after["nodes"] == [{"name": "beacon_web", "mesh": 0, "extras": before["nodes"][0]["extras"]}]
    assert after["meshes"][0]["extras"] == before["meshes"][0]["extras"]
    assert after["materials"][0]["name"] == "M_beacon_web"
    assert after["extensionsRequired"] == ["EXT_meshopt_compression", "EXT_texture_webp", "KHR_mesh_quantization"]


def test_its_picture_is_the_same_to_the_eye(master: bytes, web: bytes, textured_beacon: TexturedMesh) -> None:
    document, binary = split_glb(web)
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = view.get("byteOffset", 0)
    picture = np.asarray(Image.open(io.BytesIO(binary[start : start + view["byteLength"]])).convert("RGB"))

    middles = textured_beacon.uvs[textured_beacon.faces].mean(axis=1)  # nobody sees what lies between charts
    shown = [255.0 * sample_texture(one, middles) for one in (picture, textured_beacon.base_color)]
    assert np.abs(shown[0] - shown[1]).mean() < 3.0


def test_a_map_that_is_no_colour_loses_nothing(master: bytes, textured_beacon: TexturedMesh) -> None:
    document, binary = split_glb(master)
    material = document["materials"][0]
    material["normalTexture"] = material["pbrMetallicRoughness"].pop("baseColorTexture")
    document, binary = split_glb(made(join_glb(json.dumps(document).encode(), binary)))
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = view.get("byteOffset", 0)
    picture = np.asarray(Image.open(io.BytesIO(binary[start : start + view["byteLength"]])).convert("RGB"))

    np.testing.assert_array_equal(picture, textured_beacon.base_color)


def test_khronos_has_nothing_against_it_and_would_against_such_a_master(web: bytes) -> None:
    findings, reports = check_khronos({"beacon_web.glb": web, "beacon.glb": web})
    if not reports:
        pytest.skip(findings[0].message)

    assert [(finding.severity, finding.message.split(":")[0]) for finding in findings] == [("warn", "beacon.glb")]


def test_the_same_master_gives_the_same_bytes(master: bytes, web: bytes) -> None:
    assert web_glb(Glb("beacon.glb", master)) == web


@pytest.mark.parametrize("fault", ["no node", "no file"])
def test_without_node_or_with_a_master_that_it_refuses_there_is_no_file(
    fault: str, master: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "no node":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif shutil.which("node") is None:
        pytest.skip("Node is not installed")
    else:
        document, binary = split_glb(master)
        document["meshes"][0]["primitives"][0]["attributes"]["POSITION"] = 99
        master = join_glb(json.dumps(document).encode(), binary)

    files, findings = produced(master)

    assert files == {}
    assert [(finding.severity, finding.gate) for finding in findings] == [("not_run", "web")]
