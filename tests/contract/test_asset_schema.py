"""The sidecar of an exported asset fits its frozen schema, and the schema names what the code does."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dreamfoundry.asset.deliverables import GATES
from dreamfoundry.asset.export import export_asset
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.asset.files.sidecar import with_provenance
from dreamfoundry.file_roles import ROLES
from dreamfoundry.records import Prompt
from dreamfoundry.serialization import to_plain
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity
from dreamfoundry.settings.recipe import Recipe
from support.snapshots import ball, make_snapshot

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas" / "asset.v1.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sidecar() -> dict[str, Any]:
    prompt = Prompt("row-1", "a red ball", target_height_m=0.5)
    profile = ExportProfile("tiny", (500, 200), (64, 64), thumbnail_px=32)
    prior = PriorIdentity("toybox", "1", "d" * 64, "Apache-2.0")
    policy = MetadataPolicy(asset_license="CC0-1.0", copyright_holder="A Studio", rights_url="https://example.org/cc0")
    metadata = asset_metadata(prompt, prior, "f" * 64, "a" * 64, "e" * 64, profile, policy)
    snapshot = make_snapshot(ball(0.5), resolution=24)
    return json.loads(export_asset(snapshot, prompt, profile=profile, metadata=metadata).files["asset.json"])


def test_the_sidecar_fits_its_schema(sidecar: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(sidecar, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_the_sidecar_of_a_run_tells_where_it_comes_from(sidecar: dict[str, Any]) -> None:
    told = json.loads(
        with_provenance(
            json.dumps(sidecar).encode(),
            {
                "run_id": "r",
                "created_at": "2026-01-02T03:04:05Z",
                "recipe": to_plain(Recipe()),
                "prompt_ids": ["row-1"],
                "tags": ["wood"],
            },
        )
    )

    jsonschema.validate(told, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert told.pop("provenance")["recipe"]["optimize"]["num_steps"] > 0
    assert told == sidecar


def test_what_the_sidecar_says_of_a_ball_is_true_of_a_ball(sidecar: dict[str, Any]) -> None:
    assert sidecar["bounds_m"][0][1] == pytest.approx(0.0, abs=1e-6)
    assert sidecar["bounds_m"][1][1] == pytest.approx(0.5, abs=1e-6)
    assert (sidecar["watertight"], sidecar["num_components"], sidecar["genus"]) == (True, 1, 0)
    entry = sidecar["files"]["a_red_ball_aaaaaaaa.glb"]
    assert entry["textures_px"]["T_a_red_ball_aaaaaaaa_LOD0_BC"] == [64, 64]
    assert "T_a_red_ball_aaaaaaaa_LOD0_AO" not in entry["textures_px"]  # nothing shades a ball
    assert entry["meshes"] == 1
    assert entry["triangles"] <= 500
    assert "textures_px" not in sidecar["files"]["thumbnail.png"]
    assert (entry["uv_sets"], sidecar["pivot"]) == (1, "base_center")
    assert sidecar["software"]["numpy"] == version("numpy")


def test_every_file_has_its_role_and_each_level_the_size_on_the_screen_that_it_is_good_for(
    sidecar: dict[str, Any],
) -> None:
    roles = {name.removeprefix("a_red_ball_aaaaaaaa"): entry["role"] for name, entry in sidecar["files"].items()}
    levels = [entry for entry in sidecar["files"].values() if entry["role"] == "level"]

    assert roles == {
        ".glb": "level",
        "_LOD1.glb": "level",
        "_collision.glb": "collision",
        "thumb_32.webp": "thumbnail_small",
        "thumbnail.png": "thumbnail",
        "validation.json": "validation",
    }
    assert [level["level"] for level in levels] == [0, 1]
    for level in levels:
        error = sidecar["scores"][f"surface_error_max_LOD{level['level']}"]
        assert level["screen_px"] * error <= 1.0 + 1e-9  # its largest error is at most a pixel
        assert level["screen_size"] == pytest.approx(level["screen_px"] / 1080)
    assert levels[0]["screen_px"] > levels[1]["screen_px"]


def test_the_schema_names_every_role() -> None:
    told = SCHEMA["properties"]["files"]["additionalProperties"]["properties"]["role"]["enum"]

    assert {"other", "metadata", *told} == set(ROLES)


def test_the_schema_names_every_gate_of_the_code() -> None:
    assert set(SCHEMA["properties"]["gates"]["properties"]) == set(GATES)
    assert set(SCHEMA["properties"]["findings"]["items"]["properties"]["gate"]["enum"]) == set(GATES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "ai_generated"), False),
        (("metadata", "asset_key"), "short"),
        (("gates", "volume"), "perhaps"),
        (("dimensions_m",), [1.0, 2.0]),
        (("files", "thumbnail.png", "sha256"), "0"),
        (("files", "a_red_ball_aaaaaaaa.glb", "textures_px"), [64, 64]),
        (("files", "thumbnail.png", "role"), "picture"),
        (("bounds_m",), [[0.0, 0.0, 0.0]]),
        (("num_components",), 0),
        (("provenance",), {"run_id": "x"}),
    ],
)
def test_a_sidecar_that_says_something_else_does_not_fit(
    sidecar: dict[str, Any], path: tuple[str, ...], value: object
) -> None:
    changed = json.loads(json.dumps(sidecar))
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed, SCHEMA, cls=jsonschema.Draft202012Validator)
