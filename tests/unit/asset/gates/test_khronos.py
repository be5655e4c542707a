"""The Khronos validator finds faults, and its absence is never a pass."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.gates.khronos import MODULE_VARIABLE, check_khronos
from dreamfoundry.records import TexturedMesh

MODULE = Path(os.environ.get(MODULE_VARIABLE) or Path(__file__).parents[4] / "node_modules" / "gltf-validator")


def written(mesh: TexturedMesh) -> bytes:
    return write_glb(mesh, slug="beacon", level=0, metadata={}, copyright_text="nobody")


@pytest.mark.parametrize("missing", ["node", "module"])
def test_without_the_khronos_validator_the_gate_says_not_run(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH" if missing == "node" else MODULE_VARIABLE, str(tmp_path))

    findings, reports = check_khronos({"a.glb": b""})

    assert [(finding.severity, finding.gate) for finding in findings] == [("not_run", "khronos")]
    assert reports == {}


@pytest.mark.skipif(
    shutil.which("node") is None or not MODULE.is_dir(), reason="gltf-validator is not installed (`npm ci`)"
)
def test_khronos_finds_nothing_in_a_sound_file_and_the_fault_in_a_bad_one(textured_beacon: TexturedMesh) -> None:
    sound, bad = written(textured_beacon), written(replace(textured_beacon, normals=2 * textured_beacon.normals))

    findings, reports = check_khronos({"sound.glb": sound, "bad.glb": bad, "junk.glb": b"junk"})

    assert reports["sound.glb"]["issues"]["numErrors"] == reports["sound.glb"]["issues"]["numWarnings"] == 0
    assert {finding.message.split(":")[0] for finding in findings} == {"bad.glb", "junk.glb"}
    assert {finding.severity for finding in findings} == {"block"}
    assert any("ACCESSOR_VECTOR3_NON_UNIT" in finding.message for finding in findings)


@pytest.mark.skipif(
    shutil.which("node") is None or not MODULE.is_dir(), reason="gltf-validator is not installed (`npm ci`)"
)
def test_coordinates_for_a_lightmap_are_no_fault(textured_beacon: TexturedMesh) -> None:
    lit = replace(textured_beacon, lightmap_uvs=textured_beacon.uvs, lightmap_px=64)

    findings, reports = check_khronos({"lit.glb": written(lit)})

    assert [message["code"] for message in reports["lit.glb"]["issues"]["messages"]] == ["UNUSED_OBJECT"]
    assert findings == []
