"""Programs of others see in a delivered asset what its sidecar says, and one that sees otherwise is heard."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.records import Prompt
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.prior_identity import PriorIdentity
from support.processes import run_job
from support.snapshots import beacon, make_snapshot

PROFILE = ExportProfile("tiny", (1000, 300), (64, 64), thumbnail_px=32)

needs_assimp = pytest.mark.skipif(shutil.which("assimp") is None, reason="assimp is not installed")


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    snapshot = make_snapshot(beacon)
    prompt = Prompt("row-1", "beacon", target_height_m=0.5)
    prior = PriorIdentity("analytic", "1", "0" * 64, "Apache-2.0")
    metadata = asset_metadata(prompt, prior, "f" * 64, "a" * 64, "e" * 64, PROFILE)
    bundle = export_asset(snapshot, prompt, profile=PROFILE, metadata=metadata)
    folder = tmp_path_factory.mktemp("asset")
    for name, data in bundle.files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def spoiled(asset: Path, tmp_path: Path) -> Path:
    """A copy of the asset, to be spoiled."""
    return Path(shutil.copytree(asset, tmp_path / "asset"))


def imported(folder: Path, reader: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    return run_job("importers.py", str(folder), "--only", reader, **variables)


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["three.js", "assimp", "blender"])
def test_a_reader_sees_what_the_sidecar_says(asset: Path, reader: str) -> None:
    answer = imported(asset, reader)

    if "not run" in answer.stdout:
        pytest.skip(answer.stdout.strip())
    assert answer.stdout == f"{reader}: 2 files of 1 assets, 0 disagreements\n"
    assert answer.returncode == 0


@needs_assimp
def test_a_sidecar_that_says_something_else_is_named_with_both_numbers(spoiled: Path) -> None:
    sidecar = json.loads((spoiled / "asset.json").read_text())
    sidecar["dimensions_m"][0] *= 1.5
    sidecar["files"]["beacon_aaaaaaaa.glb"]["triangles"] += 1
    (spoiled / "asset.json").write_text(json.dumps(sidecar))

    answer = imported(spoiled, "assimp")

    assert answer.returncode == 1
    assert "3 disagreements" in answer.stdout  # both levels have other dimensions
    triangles = sidecar["files"]["beacon_aaaaaaaa.glb"]["triangles"]
    assert f"beacon_aaaaaaaa.glb: {triangles - 1} triangles, the sidecar says {triangles}" in answer.stdout


@needs_assimp
def test_a_file_that_a_reader_refuses_is_named(spoiled: Path) -> None:
    (spoiled / "beacon_aaaaaaaa.glb").chmod(0o644)
    (spoiled / "beacon_aaaaaaaa.glb").write_bytes(b"glTF and nothing else")

    answer = imported(spoiled, "assimp")

    assert answer.returncode == 1
    assert "beacon_aaaaaaaa.glb: refused: " in answer.stdout


@pytest.mark.parametrize(
    ("reader", "variables"),
    [
        ("three.js", {"DREAMFOUNDRY_THREE": "/nowhere"}),
        ("assimp", {"PATH": "/nowhere"}),
        ("blender", {"DREAMFOUNDRY_BLENDER_PYTHON": ""}),
        ("blender", {"DREAMFOUNDRY_BLENDER_PYTHON": "/nowhere/python"}),
        ("blender", {"DREAMFOUNDRY_BLENDER_PYTHON": shutil.which("false") or "false"}),
    ],
)
def test_a_reader_that_is_absent_is_not_run(asset: Path, reader: str, variables: dict[str, str]) -> None:
    answer = imported(asset, reader, **variables)

    assert answer.stdout.startswith(f"{reader}: not run: ")
    assert answer.returncode == 0


def test_a_folder_without_an_asset_is_refused(tmp_path: Path) -> None:
    answer = imported(tmp_path, "assimp")

    assert answer.returncode == 4
    assert "asset.json" in answer.stderr
