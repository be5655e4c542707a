"""A library is checked as it was delivered: what is wrong is found in its bytes, whatever the exporter said of them."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamfoundry.asset.deliverables import MEDIA_TYPES
from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.asset.files.sidecar import json_file
from dreamfoundry.asset.gates.khronos import MODULE_VARIABLE
from dreamfoundry.library.library import Library
from dreamfoundry.library.views import write_view
from dreamfoundry.object_store.directory import DirectoryStore
from dreamfoundry.records import Outcome, Prompt
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.prior_identity import PriorIdentity
from support.processes import run_job
from support.snapshots import beacon, make_snapshot

PROFILE = ExportProfile("tiny", (1000, 300), (64, 64), thumbnail_px=32)
VALIDATOR = Path(os.environ.get(MODULE_VARIABLE) or Path(__file__).parents[2] / "node_modules" / "gltf-validator")

needs_validator = pytest.mark.skipif(
    shutil.which("node") is None or not (VALIDATOR / "package.json").is_file(),
    reason="the Khronos validator is not installed (npm ci)",
)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The files of one asset."""
    snapshot = make_snapshot(beacon)
    prompt = Prompt("row-1", "a red beacon", target_height_m=0.5)
    prior = PriorIdentity("analytic", "1", "0" * 64, "Apache-2.0")
    metadata = asset_metadata(prompt, prior, "f" * 64, "a" * 64, "e" * 64, PROFILE)
    return dict(export_asset(snapshot, prompt, profile=PROFILE, metadata=metadata).files)


def published(
    folder: Path, files: dict[str, bytes], key: str = "a" * 64, day: int = 1, prompt_id: str = "row-1"
) -> Path:
    """A library in `folder` with one asset more, as an exporter leaves it; the folder of the asset."""
    library = Library(DirectoryStore(folder))
    outcome = Outcome(
        key,
        "f" * 64,
        prompt_id,
        "a red beacon",
        "published",
        slug="a_red_beacon_aaaaaaaa",
        files={name: library.put_blob(data, MEDIA_TYPES[name.rsplit(".", 1)[-1]]) for name, data in files.items()},
        provenance={"created_at": f"2026-01-0{day}T00:00:00Z", "budget_profile": "tiny", "export_s": 7.0},
    )
    assert library.publish(outcome)
    write_view(library, outcome)
    return folder / "assets" / prompt_id / key


def checked(library: Path, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """The program over `library`; what takes long to start is absent, unless `variables` say otherwise."""
    absent = {"DREAMFOUNDRY_THREE": "/nowhere", "DREAMFOUNDRY_BLENDER_PYTHON": ""}
    return run_job("assets_check.py", str(library), *arguments, **{**absent, **variables})


def spoiled(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of an asset, and nothing that says what it should be."""
    data = (folder / name).read_bytes()
    (folder / name).unlink()  # the blob has the same bytes by a hard link
    (folder / name).write_bytes(change(data))


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def with_wrong_bounds(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    """The same asset by an exporter that lies about how far one of its meshes reaches, and signs that."""
    document, binary = split_glb(files[name])
    bounded = next(accessor for accessor in document["accessors"] if accessor["type"] == "VEC3" and "max" in accessor)
    bounded["max"][1] *= 2.0
    lying = join_glb(json.dumps(document).encode(), binary)
    sidecar = json.loads(files["asset.json"])
    sidecar["files"][name] |= {"sha256": hashlib.sha256(lying).hexdigest(), "bytes": len(lying)}
    return {**files, name: lying, "asset.json": json_file(sidecar)}


def test_of_a_sound_library_nothing_is_wrong_and_the_figures_are_those_of_its_sidecars(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    for index in range(3):
        published(tmp_path / "library", files, key=str(index) * 64, prompt_id=f"row-{index}")
    outputs = ["--markdown", "report/README.md", "--json", "figures.json", "--contact-sheet", "report/sheet.webp"]

    answer = checked(tmp_path / "library", *(str(tmp_path / word) if "." in word else word for word in outputs))

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.endswith(f"3 asked, 3 published, {3 * len(files)} files: nothing is wrong\n")
    sidecar = json.loads(files["asset.json"])
    figures = json.loads((tmp_path / "figures.json").read_text())
    tiny = figures["profiles"]["tiny"]
    error = sidecar["scores"]["surface_error_mean_LOD1"]
    assert tiny["watertight"] == tiny["one_component"] == tiny["assets"] == 3
    assert tiny["levels"][1]["scores"]["surface_error_mean"] == {"median": error, "lowest": error, "highest": error}
    assert tiny["timings_s"].keys() == sidecar["timings_s"].keys()
    assert tiny["all_stages_s"]["median"] == pytest.approx(sum(sidecar["timings_s"].values()))
    assert tiny["gates"]["watertight"]["words"] == {"passed": 3}
    page = (tmp_path / "report/README.md").read_text()
    assert "Nothing is wrong." in page
    assert "![All assets by profile and prompt](sheet.webp)" in page
    assert f"{100 * error:.3f} ({100 * error:.3f})" in page
    assert "| video | 0 | 0 | 3 | 0 | not in this profile |" in page
    with Image.open(tmp_path / "report/sheet.webp") as sheet:
        assert sheet.format == "WEBP"
        grey = np.asarray(sheet.convert("L"))
        assert grey.min() < 100 < grey.max()


@pytest.mark.parametrize(
    ("name", "teller"),
    [("a_red_beacon_aaaaaaaa_LOD1.glb", "asset.json"), ("thumbnail.png", "asset.json"), ("asset.json", "its outcome")],
)
def test_a_file_with_another_byte_is_named(files: dict[str, bytes], tmp_path: Path, name: str, teller: str) -> None:
    spoiled(published(tmp_path, files), name, flipped)

    answer = checked(tmp_path)

    found, told = (hashlib.sha256(data).hexdigest() for data in (flipped(files[name]), files[name]))
    assert f"not ok  row-1 (tiny): {name}: has SHA-256 {found}, {teller} says {told}\n" in answer.stdout
    assert answer.returncode == 1


def test_a_file_that_is_missing_and_one_that_nobody_names_are_named(files: dict[str, bytes], tmp_path: Path) -> None:
    folder = published(tmp_path, files)
    (folder / "turntable.webp").write_bytes(b"from elsewhere")
    (folder / "a_red_beacon_aaaaaaaa.glb").unlink()

    answer = checked(tmp_path)

    assert "a_red_beacon_aaaaaaaa.glb: is missing, asset.json names it\n" in answer.stdout
    assert "turntable.webp: asset.json does not name it\n" in answer.stdout
    assert answer.returncode == 1


@needs_validator
def test_an_error_of_the_khronos_validator_is_found_although_the_sidecar_says_passed(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    lying = with_wrong_bounds(files, "a_red_beacon_aaaaaaaa_LOD1.glb")
    assert json.loads(lying["asset.json"])["gates"]["khronos"] == "passed"
    published(tmp_path / "library", lying)

    answer = checked(tmp_path / "library", "--markdown", str(tmp_path / "page.md"))

    assert "gltf-validator: a_red_beacon_aaaaaaaa_LOD1.glb: error ACCESSOR_MAX_MISMATCH" in answer.stdout
    assert answer.returncode == 1
    page = (tmp_path / "page.md").read_text()
    assert "3 of 3 GLBs, 1 errors, 0 warnings, 0 notes outside the allow-list" in page
    assert "ACCESSOR_MAX_MISMATCH (error): 1; UNSUPPORTED_EXTENSION (information, expected): 3" in page


def test_tools_that_are_absent_are_not_run_and_nothing_is_wrong_for_it(files: dict[str, bytes], tmp_path: Path) -> None:
    published(tmp_path / "library", files)

    answer = checked(tmp_path / "library", "--markdown", str(tmp_path / "page.md"), PATH="/nowhere")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "three.js: not run: " in answer.stdout
    assert "assimp: not run: assimp is not installed" in answer.stdout
    page = (tmp_path / "page.md").read_text()
    assert "| blender | – | – | not run: DREAMFOUNDRY_BLENDER_PYTHON names no interpreter" in page
    assert "Khronos validator: 0 of 3 GLBs, 0 errors" in page


@pytest.mark.skipif(shutil.which("assimp") is None, reason="assimp is not installed")
def test_a_reader_that_sees_something_else_is_heard(files: dict[str, bytes], tmp_path: Path) -> None:
    sidecar = json.loads(files["asset.json"])
    sidecar["dimensions_m"][0] *= 1.5
    published(tmp_path, {**files, "asset.json": json_file(sidecar)})

    answer = checked(tmp_path)

    assert "not ok  assimp: a_red_beacon_aaaaaaaa.glb: " in answer.stdout
    assert answer.returncode == 1


def test_a_prompt_that_was_refused_is_told_with_its_reason(files: dict[str, bytes], tmp_path: Path) -> None:
    published(tmp_path, files)
    why: dict[str, Any] = {"failure_class": "empty", "message": "no surface", "provenance": {"budget_profile": "tiny"}}
    Library(DirectoryStore(tmp_path)).publish(Outcome("b" * 64, "f" * 64, "row-2", "fog", "quarantined", **why))

    answer = checked(tmp_path)

    assert "not ok  row-2 (tiny): refused: empty: no surface\n" in answer.stdout
    assert "2 asked, 1 published" in answer.stdout
    assert answer.returncode == 1


def test_of_several_exports_of_a_prompt_the_newest_counts(files: dict[str, bytes], tmp_path: Path) -> None:
    old = published(tmp_path, files, key="c" * 64, day=1)
    published(tmp_path, files, key="a" * 64, day=2)
    spoiled(old, "thumbnail.png", flipped)

    answer = checked(tmp_path)

    assert answer.stdout.endswith(f"1 asked, 1 published, {len(files)} files: nothing is wrong\n")
    assert answer.returncode == 0


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_a_folder_that_is_no_library_is_refused_and_left_as_it_is(tmp_path: Path, place: str) -> None:
    answer = checked(tmp_path / place)

    assert answer.returncode == 4
    assert "is no library; name a folder that `dreamfoundry build` has filled" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_names_no_library_is_refused() -> None:
    answer: Any = run_job("assets_check.py")

    assert answer.returncode == 4
    assert "LIBRARY" in answer.stderr
