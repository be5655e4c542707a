"""A snapshot becomes a whole asset, the same one every time, or a failure with its class."""

import hashlib
import io
import json
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files import glb_reader
from dreamfoundry.asset.files.c2pa import CERTIFICATE_VARIABLE, KEY_VARIABLE
from dreamfoundry.asset.files.glb import split_glb
from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.asset.pictures.renderer import RENDERER
from dreamfoundry.errors import AssetInvalid, EmptyField, PromptFailure
from dreamfoundry.host.child_process import package_environment
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import AssetBundle, FieldSnapshot
from support.beacon_asset import EVERYTHING, METADATA, PROFILE, PROMPT

REPEATABLE = (
    "a_beacon_gray_aaaaaaaa.glb",
    "a_beacon_gray_aaaaaaaa_LOD1.glb",
    "a_beacon_gray_aaaaaaaa_collision.glb",
    "thumb_64.webp",
    "thumbnail.png",
    "turntable.webp",
    "validation.json",
)


def exported(snapshot: FieldSnapshot) -> AssetBundle:
    return export_asset(snapshot, PROMPT, profile=PROFILE, metadata=METADATA)


@pytest.fixture(scope="module")
def bundle(beacon_snapshot: FieldSnapshot) -> AssetBundle:
    return exported(beacon_snapshot)


def test_the_master_is_decoded_once_per_export(beacon_snapshot: FieldSnapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks, mesh and pictures of every delivered GLB, for gates, derived files, pictures and sidecar together."""
    split: Counter[bytes] = Counter()
    meshes: Counter[bytes] = Counter()
    pictures: Counter[bytes] = Counter()

    def count(name: str, counter: Counter[bytes], argument: int) -> None:
        original = getattr(glb_reader, name)

        def counted(*arguments: Any) -> Any:
            counter[arguments[argument]] += 1
            return original(*arguments)

        monkeypatch.setattr(glb_reader, name, counted)

    count("split_glb", split, 0)
    count("_mesh", meshes, 1)
    count("_picture", pictures, 0)
    profile = replace(EVERYTHING, triangles=(600, 300), texture_px=(128, 64), web=False)

    bundle = export_asset(beacon_snapshot, PROMPT, profile=profile, metadata=METADATA)

    assert split[bundle.files["a_beacon_gray_aaaaaaaa.glb"]] == 1
    assert set(split.values()) == set(pictures.values()) == {1}
    binary = split_glb(bundle.files["a_beacon_gray_aaaaaaaa.glb"])[1]
    assert meshes[binary] == 1
    assert len(pictures) == 6  # base colour, normals and occlusion of two levels


def test_every_promised_file_is_there(bundle: AssetBundle) -> None:
    assert set(bundle.files) == {*REPEATABLE, "asset.json"}
    assert bundle.slug == "a_beacon_gray_aaaaaaaa"


EXPORTING = """
import pickle, sys
from pathlib import Path
from dreamfoundry.asset.export import export_asset

snapshot, prompt, profile, metadata = pickle.loads(Path(sys.argv[1]).read_bytes())
bundle = export_asset(snapshot, prompt, profile=profile, metadata=metadata)
Path("files").mkdir()
for name, data in bundle.files.items():
    Path("files", name).write_bytes(data)
"""


def exported_elsewhere(request: bytes, folder: Path, **variables: str) -> dict[str, bytes]:
    """The files that a process of its own makes in `folder`, with its temporary files there too."""
    folder.mkdir()
    (folder / "request").write_bytes(request)
    subprocess.run(
        [sys.executable, "-c", EXPORTING, "request"],
        cwd=folder,
        env={**package_environment(), "TMPDIR": str(folder), **variables},
        check=True,
    )
    return {path.name: path.read_bytes() for path in (folder / "files").iterdir()}


def test_a_second_export_elsewhere_has_the_same_bytes_of_every_file(
    beacon_snapshot: FieldSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other hashes, number of threads, folders and clock; the sidecar alone tells how long it took."""
    for variable in (KEY_VARIABLE, CERTIFICATE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)  # a credential holds a time
    request = pickle.dumps((beacon_snapshot, PROMPT, EVERYTHING, METADATA))

    first = exported_elsewhere(request, tmp_path / "one", PYTHONHASHSEED="1", OMP_NUM_THREADS="1", TZ="UTC")
    second = exported_elsewhere(
        request, tmp_path / "another", PYTHONHASHSEED="2", OMP_NUM_THREADS="2", TZ="Pacific/Auckland", LC_ALL="C"
    )

    sidecars = [json.loads(files.pop("asset.json")) for files in (first, second)]
    assert {name for name in first if first[name] != second.get(name)} == set()
    assert first.keys() == second.keys()
    assert {**sidecars[0], "timings_s": {}} == {**sidecars[1], "timings_s": {}}
    made = {name.removeprefix("a_beacon_gray_aaaaaaaa") for name in first}
    levels, bundles = {".glb", "_LOD1.glb", "_LOD2.glb", "_LOD3.glb"}, {"_godot.glb", "_unreal.glb"}
    pictures = {"thumb_64.webp", "thumbnail.png", "turntable.webp"}
    always = levels | bundles | pictures | {"_collision.glb", "_dense.glb", "validation.json"}
    optional = {".usdz": "usd", "_web.glb": "web", "turntable.mp4": "video"}
    assert made == always | {end for end, gate in optional.items() if sidecars[0]["gates"][gate] == "passed"}


def test_the_asset_stands_on_the_ground_in_metres_with_its_front_on_plus_z(bundle: AssetBundle) -> None:
    mesh = trimesh.load(
        io.BytesIO(bundle.files["a_beacon_gray_aaaaaaaa.glb"]), file_type="glb", force="mesh", process=False
    )

    low, high = mesh.bounds
    assert high[1] == pytest.approx(0.4, abs=1e-4)
    assert low[1] == pytest.approx(0.0, abs=1e-5)
    assert (low + high)[[0, 2]] == pytest.approx([0.0, 0.0], abs=1e-5)
    coarser = read_glb(bundle.files["a_beacon_gray_aaaaaaaa_LOD1.glb"])
    assert coarser.vertices[:, 1].min() == pytest.approx(low[1], abs=1e-6)
    delivered = read_glb(bundle.files["a_beacon_gray_aaaaaaaa.glb"])
    assert delivered.uvs is not None
    texel = np.minimum((delivered.uvs * 128).astype(int), 127)
    color = delivered.base_color[texel[:, 1], texel[:, 0]].astype(int)
    red = color[:, 0] > 2 * color[:, 1]
    assert delivered.vertices[red][:, 2].mean() > 0.5 * high[2]


def test_the_collision_hull_stands_around_the_asset(bundle: AssetBundle) -> None:
    asset, hull = (read_glb(bundle.files[f"a_beacon_gray_aaaaaaaa{end}.glb"]).vertices for end in ("", "_collision"))

    allowed = 0.06 * float(np.linalg.norm(np.ptp(asset, axis=0)))  # that of 16 corners around its many edges
    assert hull.min(axis=0) == pytest.approx(asset.min(axis=0), abs=allowed)
    assert hull.max(axis=0) == pytest.approx(asset.max(axis=0), abs=allowed)
    assert hull[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    assert bundle.scores["hull_outside_max"] <= 0.01


def test_the_sidecar_describes_the_files_as_they_are(bundle: AssetBundle) -> None:
    sidecar = json.loads(bundle.files["asset.json"])

    assert set(sidecar["files"]) == set(REPEATABLE)
    for name, entry in sidecar["files"].items():
        data = bundle.files[name]
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    mesh = read_glb(bundle.files["a_beacon_gray_aaaaaaaa.glb"])
    entry = sidecar["files"]["a_beacon_gray_aaaaaaaa.glb"]
    assert (entry["triangles"], entry["vertices"]) == (len(mesh.faces), len(mesh.vertices))
    sides_px = {"BC": 128, "N": 128, "AO": 64}
    assert entry["textures_px"] == {f"T_a_beacon_gray_aaaaaaaa_LOD0_{name}": [px, px] for name, px in sides_px.items()}
    assert sidecar["dimensions_m"] == pytest.approx(np.ptp(mesh.vertices, axis=0).tolist(), abs=1e-4)
    assert sidecar["scores"] == dict(bundle.scores)
    assert sidecar["renderer"] == RENDERER
    assert set(sidecar["timings_s"]) == {
        *("mesh", "lod", "collision", "unwrap", "bake", "gltf", "web", "validate", "usd", "sign"),
        *("thumbnail", "quality"),
    }


def test_the_same_metadata_stands_in_every_glb_and_in_the_sidecar(bundle: AssetBundle) -> None:
    expected = json.loads(canonical_json(METADATA))

    assert json.loads(bundle.files["asset.json"])["metadata"] == expected
    for name, data in bundle.files.items():
        if name.endswith(".glb"):
            assert read_glb(data).document["asset"]["extras"]["dreamfoundry"] == expected
    assert expected["ai_generated"] is True
    assert expected["research_only"] is True
    assert expected["prior"]["license"] == "Apache-2.0"
    assert expected["asset_license"] == "NOASSERTION"
    assert "row-7" not in json.dumps(expected)  # two rows of a manifest can share one asset key


def test_no_gate_blocks_and_the_scores_are_good(bundle: AssetBundle) -> None:
    gates = json.loads(bundle.files["validation.json"])["gates"]

    not_passed = {gate: word for gate, word in gates.items() if word != "passed"}
    assert not_passed | {"khronos": "not_run"} == dict.fromkeys(
        ("khronos", "browser", "video", "usd", "web", "content_credential"), "not_run"
    )
    assert bundle.scores["silhouette_iou"] > 0.95
    assert bundle.scores["view_color_error_mean"] < 0.05


def test_a_field_without_anything_ends_as_a_prompt_failure(ball_snapshot: FieldSnapshot) -> None:
    with pytest.raises(EmptyField):
        exported(replace(ball_snapshot, density=np.zeros_like(ball_snapshot.density)))


def test_noise_ends_as_an_asset_or_a_prompt_failure(ball_snapshot: FieldSnapshot) -> None:
    generator = np.random.default_rng(0)
    noise = (ball_snapshot.density * generator.random(ball_snapshot.density.shape)).astype(np.float16)

    try:
        ending = "asset" if exported(replace(ball_snapshot, density=noise)).files else "nothing"
    except PromptFailure as failure:
        ending = failure.failure_class
    assert ending in ("asset", "surface", "invalid")


def test_levels_that_cannot_be_unwrapped_in_time_are_delivered_with_colours_at_their_vertices(
    beacon_snapshot: FieldSnapshot, bundle: AssetBundle
) -> None:
    plain = export_asset(beacon_snapshot, PROMPT, profile=replace(PROFILE, unwrap_limit_s=0.01), metadata=METADATA)

    said = [(finding.severity, finding.gate, finding.message[:24]) for finding in plain.findings]
    assert [entry for entry in said if entry[0] == "warn"] == [
        ("warn", "unwrapped", "LOD0 has vertex colours:"),
        ("warn", "unwrapped", "LOD1 has vertex colours:"),
    ]
    assert json.loads(plain.files["validation.json"])["gates"]["unwrapped"] == "warn"
    mesh = read_glb(plain.files["a_beacon_gray_aaaaaaaa.glb"])
    assert mesh.colors is not None
    assert mesh.uvs is None
    assert mesh.base_color_png == b""
    assert plain.scores["view_color_error_mean"] == pytest.approx(bundle.scores["view_color_error_mean"], abs=0.03)
    thumbnails = [
        np.asarray(Image.open(io.BytesIO(files["thumbnail.png"]))).astype(int) for files in (plain.files, bundle.files)
    ]
    assert np.abs(thumbnails[0] - thumbnails[1]).mean() < 6


def test_a_level_has_the_maps_that_its_profile_orders(bundle: AssetBundle, beacon_snapshot: FieldSnapshot) -> None:
    bare = export_asset(beacon_snapshot, PROMPT, profile=replace(PROFILE, detail_maps=False), metadata=METADATA)

    for name, side_px in (("a_beacon_gray_aaaaaaaa.glb", 128), ("a_beacon_gray_aaaaaaaa_LOD1.glb", 64)):
        mesh = read_glb(bundle.files[name])
        assert mesh.tangents is not None
        assert mesh.base_color.shape == (side_px, side_px, 3)
        assert mesh.normal_map.shape == (side_px, side_px, 3)
        assert mesh.occlusion.shape == (64, 64, 1)
        assert read_glb(bare.files[name]).tangents is None
        assert read_glb(bare.files[name]).occlusion_png == b""


def test_each_level_says_how_far_it_is_from_the_dense_surface(bundle: AssetBundle) -> None:
    scores = bundle.scores

    assert 0.0 < scores["surface_error_mean_LOD0"] < scores["surface_error_mean_LOD1"] < 0.005
    assert scores["surface_error_max_LOD1"] < 0.03
    assert scores["detail_found_share_LOD0"] > 0.99
    assert scores["detail_found_share_LOD1"] > 0.99
    assert scores["silhouette_iou_LOD0"] == scores["silhouette_iou"]
    assert scores["silhouette_iou_LOD1"] > 0.9


def test_a_blocking_gate_refuses_the_asset_by_name(beacon_snapshot: FieldSnapshot) -> None:
    """A height of 1e-50 m is below what the positions of a GLB can hold."""
    with pytest.raises(AssetInvalid, match=r"refused by .*volume"):
        export_asset(beacon_snapshot, replace(PROMPT, target_height_m=1e-50), profile=PROFILE, metadata=METADATA)
