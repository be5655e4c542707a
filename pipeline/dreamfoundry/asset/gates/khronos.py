"""Gate of the Khronos glTF validator: one Node process for all files of an asset.

Node and the npm package `gltf-validator` are optional; without them the gate is "not_run", never to be
read as passed. The package is looked up in the folder named by the environment variable
DREAMFOUNDRY_GLTF_VALIDATOR, else as in `host.nodejs`.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.findings import not_run
from dreamfoundry.asset.gates.check import Check, CheckResult
from dreamfoundry.errors import NodeUnavailable
from dreamfoundry.host.nodejs import package_folder, run_node
from dreamfoundry.records import Finding

GATE = "khronos"
TOOL = "gltf-validator"
MODULE_VARIABLE = "DREAMFOUNDRY_GLTF_VALIDATOR"
LIMIT_S = 120.0

VALIDATOR = Path(__file__).with_name("khronos_validator.mjs")

UNKNOWN_EXTENSIONS = {
    "KHR_xmp_json_ld": ".glb",
    "EXT_meshopt_compression": "_web.glb",
    "OMI_physics_body": "_godot.glb",
    "OMI_physics_shape": "_godot.glb",
}
"""Extensions that the validator does not know, and the end of the names of the files that use them: a note about one
of them says nothing about a file."""

SHAPE_MESH = ("_godot.glb", "UNUSED_OBJECT", re.compile(r"/meshes/[1-9][0-9]*"))
"""The one other note: a mesh that an extension uses (a collision shape) looks unused to who does not know it."""

LIGHTMAP_SET = (".glb", "UNUSED_OBJECT", re.compile(r"/meshes/0/primitives/0/attributes/TEXCOORD_1"))
"""And coordinates for a lightmap, which the engine bakes and no picture of the file uses."""

SEVERITY_WORDS = ("error", "warning", "information", "hint")


def check_khronos(glbs: Mapping[str, bytes]) -> tuple[list[Finding], Mapping[str, Any]]:
    """Findings and the raw report per file. Errors and warnings block, lesser notes warn, but for
    those of `is_expected`."""
    try:
        module = package_folder(TOOL, os.environ.get(MODULE_VARIABLE, ""))
        with tempfile.TemporaryDirectory(prefix="dreamfoundry-") as folder:
            for name, data in glbs.items():
                Path(folder, name).write_bytes(data)
            answer = run_node(VALIDATOR, [str(module), *glbs], Path(folder), LIMIT_S)
    except NodeUnavailable as error:
        return [not_run(GATE, f"{error} (or set {MODULE_VARIABLE})", TOOL)], {}
    reports: Mapping[str, Any] = json.loads(answer)
    return [finding for name in glbs for finding in _findings(name, reports[name])], reports


def is_expected(name: str, message: Mapping[str, Any]) -> bool:
    """True for a message that only says that the validator does not know an extension of the file `name`."""
    for end, code, pointer in (SHAPE_MESH, LIGHTMAP_SET):
        if name.endswith(end) and message["code"] == code and pointer.fullmatch(message.get("pointer", "")):
            return True
    return message["code"] == "UNSUPPORTED_EXTENSION" and any(
        f"'{extension}'" in message["message"] and name.endswith(end) for extension, end in UNKNOWN_EXTENSIONS.items()
    )


def _findings(name: str, report: Mapping[str, Any]) -> list[Finding]:
    if "failed" in report:
        return [Finding("block", GATE, TOOL, f"{name}: {report['failed']}")]
    return [
        Finding(
            "block" if message["severity"] <= 1 else "warn",
            GATE,
            TOOL,
            f"{name}: {SEVERITY_WORDS[message['severity']]} {message['code']} "
            f"at {message.get('pointer', 'the file')}: {message['message']}",
        )
        for message in report["issues"]["messages"]
        if not is_expected(name, message)
    ]


def _check(draft: AssetDraft) -> CheckResult:
    findings, reports = check_khronos({name: glb.data for name, glb in draft.glbs.items()})
    return CheckResult(findings, reports={GATE: reports})


KHRONOS = Check((GATE,), "files", _check)
