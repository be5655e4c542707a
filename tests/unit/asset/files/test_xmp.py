"""Every GLB says in XMP what it is, who may use it and that a model made it, and nothing that changes."""

import json
from typing import Any

import pytest

from dreamfoundry.asset.files import xmp
from dreamfoundry.asset.files.glb import join_glb, split_glb
from dreamfoundry.asset.files.glb_reader import read_glb
from dreamfoundry.asset.files.gltf_writer import write_glb
from dreamfoundry.asset.files.metadata import asset_metadata
from dreamfoundry.asset.gates.khronos import check_khronos
from dreamfoundry.records import Prompt, TexturedMesh
from dreamfoundry.settings.export_profiles import ExportProfile
from dreamfoundry.settings.metadata_policy import MetadataPolicy
from dreamfoundry.settings.prior_identity import PriorIdentity

PRIOR = PriorIdentity("org/prior", "r1", "d" * 64, "Apache-2.0")
OWNED = MetadataPolicy(asset_license="CC-BY-4.0", copyright_holder="A Studio", rights_url="https://example.org/by")


def packet(policy: MetadataPolicy) -> dict[str, Any]:
    prompt = Prompt("row-7", "a zebra \u2014 caf\u00e9")
    metadata = asset_metadata(prompt, PRIOR, "f" * 64, "a" * 64, "e" * 64, ExportProfile(), policy)
    return xmp.packet(metadata, "all rights reserved")


@pytest.fixture
def plain(textured_beacon: TexturedMesh) -> bytes:
    return write_glb(textured_beacon, slug="beacon", level=0, metadata={}, copyright_text="nobody")


def test_a_packet_says_what_it_is_whose_it_is_and_that_a_model_made_it() -> None:
    said = packet(OWNED)

    assert said["dc:title"]["rdf:_1"]["@value"] == "a zebra \u2014 caf\u00e9"
    assert said["dc:rights"] == {
        "@type": "rdf:Alt",
        "rdf:_1": {"@language": "x-default", "@value": "all rights reserved"},
    }
    assert said["dc:creator"] == {"@list": ["A Studio"]}
    assert said["dc:identifier"] == "a" * 64
    assert said["xmpRights:WebStatement"] == "https://example.org/by"
    assert said["Iptc4xmpExt:DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert said["Iptc4xmpExt:AISystemUsed"] == "dreamfoundry with org/prior"
    assert said["Iptc4xmpExt:AISystemVersionUsed"] == "r1"
    assert {key.split(":")[0] for key in said if ":" in key} <= set(said["@context"])


def test_a_confidential_prompt_and_an_unnamed_holder_are_left_out() -> None:
    said = packet(MetadataPolicy(embed_prompt=False))

    assert "zebra" not in json.dumps(said)
    assert not {"Iptc4xmpExt:AIPromptInformation", "xmpRights:Owner", "xmpRights:WebStatement"} & set(said)
    assert said["dc:title"]["rdf:_1"]["@value"] == "asset aaaaaaaa"
    assert said["dc:creator"] == {"@list": ["dreamfoundry"]}


def test_a_stamped_file_differs_in_its_packet_alone(plain: bytes) -> None:
    stamped = xmp.stamped(plain, packet(OWNED))

    before, binary = split_glb(plain)
    after, same_binary = split_glb(stamped)
    assert same_binary == binary
    assert after.pop("extensionsUsed") == ["KHR_xmp_json_ld"]
    assert "extensionsRequired" not in after
    assert after.pop("extensions") == {"KHR_xmp_json_ld": {"packets": [packet(OWNED)]}}
    assert after["asset"].pop("extensions") == {"KHR_xmp_json_ld": {"packet": 0}}
    assert after == before
    assert read_glb(stamped).vertices.tobytes() == read_glb(plain).vertices.tobytes()


def test_stamping_twice_gives_the_same_bytes(plain: bytes) -> None:
    once = xmp.stamped(plain, packet(OWNED))

    assert xmp.stamped(once, packet(OWNED)) == once


def test_khronos_notes_no_more_than_that_it_does_not_know_the_extension(plain: bytes) -> None:
    document, binary = split_glb(plain)
    document["extensionsUsed"] = ["KHR_unheard_of"]
    stranger = join_glb(json.dumps(document).encode(), binary)

    findings, reports = check_khronos({"a.glb": xmp.stamped(plain, packet(OWNED)), "b.glb": stranger})
    if not reports:
        pytest.skip(findings[0].message)

    (message,) = reports["a.glb"]["issues"]["messages"]
    assert (message["code"], message["severity"]) == ("UNSUPPORTED_EXTENSION", 2)
    assert [(finding.severity, finding.message[:5]) for finding in findings] == [("warn", "b.glb")]
