"""Files that say too little, contradict each other or themselves are refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from dreamfoundry.asset.files import xmp
from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.asset.gates.metadata import check_metadata
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Prompt, TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.prior_identity import PriorIdentity

PRIOR = PriorIdentity("org/prior", "r1", "d" * 64, "Apache-2.0")


METADATA = asset_metadata(Prompt("row-7", "a caf\u00e9"), PRIOR, "f" * 64, "a" * 64, "e" * 64, ExportProfile())


def stamped(mesh: TexturedMesh, metadata: Mapping[str, Any]) -> bytes:
    data = write_glb(mesh, slug="beacon", level=0, metadata=metadata, copyright_text="nobody")
    return xmp.stamped(data, xmp.packet({**METADATA, **metadata}, "nobody"))


def test_files_that_say_all_and_the_same_pass(textured_beacon: TexturedMesh) -> None:
    files = [Glb(name, stamped(textured_beacon, METADATA)) for name in ("a.glb", "a_LOD1.glb")]

    assert check_metadata(files) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"prompt_sha256": ""}, "without prompt_sha256"),
        ({"seed": None, "units": ""}, "without seed, units"),
        ({"asset_license": "Apache 2"}, "must be SPDX"),
        ({"prompt": "a cafe"}, "that of the prompt is "),
    ],
)
def test_what_a_file_does_not_say_or_says_wrongly_is_refused(
    textured_beacon: TexturedMesh, changes: dict[str, Any], word: str
) -> None:
    (finding,) = check_metadata([Glb("a.glb", stamped(textured_beacon, {**METADATA, **changes}))])

    assert (finding.severity, finding.gate) == ("block", "metadata")
    assert finding.message.startswith("a.glb: ")
    assert word in finding.message


def test_files_that_contradict_each_other_or_themselves_are_refused(textured_beacon: TexturedMesh) -> None:
    sound = stamped(textured_beacon, METADATA)
    of_another_row = stamped(textured_beacon, {**METADATA, "seed": 8})
    foreign = xmp.stamped(sound, {"dc:identifier": "another"})
    document, binary = split_glb(sound)
    del document["scenes"][0]["extras"]
    silent_scene = join_glb(canonical_json(document), binary)
    document["scenes"][0]["extras"] = document["asset"]["extras"]
    document["asset"]["copyright"] = ""
    unowned = join_glb(canonical_json(document), binary)

    for file, word in (
        (of_another_row, "are not those of a.glb"),
        (foreign, "XMP packet is about 'another'"),
        (silent_scene, "extras of its scene"),
        (unowned, "asset.copyright"),
        (b"junk", "cannot be read"),
    ):
        (finding,) = check_metadata([Glb("a.glb", sound), Glb("b.glb", file)])
        assert finding.message.startswith("b.glb: ")
        assert word in finding.message


@pytest.mark.parametrize("kind", ["nodes", "meshes"])
@pytest.mark.parametrize("key", ["asset_key", "asset_license", "ai_generated"])
def test_an_object_that_would_lose_its_rights_among_others_is_refused(
    textured_beacon: TexturedMesh, kind: str, key: str
) -> None:
    document, binary = split_glb(stamped(textured_beacon, METADATA))
    del document[kind][0]["extras"]["dreamfoundry"][key]

    (finding,) = check_metadata([Glb("a.glb", join_glb(canonical_json(document), binary))])

    assert finding.severity == "block"
    assert f"'beacon_LOD0' in its {kind} have another {key}" in finding.message
