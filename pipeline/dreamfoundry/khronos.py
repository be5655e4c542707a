"""The Khronos glTF validator as a gate: one Node process for all files of an asset.

Node and the npm package `gltf-validator` are optional. Where one is absent the gate says
"not_run", which is never to be read as passed. The package is looked for in the folder that the
environment variable DREAMFOUNDRY_GLTF_VALIDATOR names, then in node_modules of the current
folder and of the folders above this file (`npm ci` in the repository puts it there).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dreamfoundry.child_process import die_with
from dreamfoundry.records import Finding

GATE = "khronos"
TOOL = "gltf-validator"
MODULE_VARIABLE = "DREAMFOUNDRY_GLTF_VALIDATOR"
LIMIT_S = 120.0
UNKNOWN_EXTENSION = ("UNSUPPORTED_EXTENSION", "KHR_xmp_json_ld")
"""The one note that says nothing about a file: its code, and a ratified extension that the validator does not know."""

SEVERITY_WORDS = ("error", "warning", "information", "hint")


def check_khronos(glbs: Mapping[str, bytes]) -> tuple[list[Finding], Mapping[str, Any]]:
    """Findings and the raw report per file. Errors and warnings block, lesser notes warn, one is expected."""
    node, module = shutil.which("node"), _module_folder()
    if node is None:
        return [_not_run("Node is not installed (no `node` on PATH)")], {}
    if module is None:
        return [_not_run(f"npm package gltf-validator not found; run `npm ci` or set {MODULE_VARIABLE}")], {}
    with tempfile.TemporaryDirectory(prefix="dreamfoundry-") as folder:
        for name, data in glbs.items():
            Path(folder, name).write_bytes(data)
        script = str(Path(__file__).with_name("khronos_validator.mjs"))
        try:
            answer = subprocess.run(
                [node, script, str(module), *glbs],
                cwd=folder,
                capture_output=True,
                timeout=LIMIT_S,
                preexec_fn=partial(die_with, os.getpid()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [_not_run(f"gltf-validator did not end within {LIMIT_S:g} s")], {}
    if answer.returncode != 0:
        words = answer.stderr.decode(errors="replace").strip().splitlines()
        return [_not_run(f"node ended with {answer.returncode}: {words[-1] if words else 'no message'}")], {}
    reports: Mapping[str, Any] = json.loads(answer.stdout)
    return [finding for name in glbs for finding in _findings(name, reports[name])], reports


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
        if not _is_expected(message)
    ]


def _is_expected(message: Mapping[str, Any]) -> bool:
    code, extension = UNKNOWN_EXTENSION
    return message["code"] == code and f"'{extension}'" in message["message"]


def _not_run(reason: str) -> Finding:
    return Finding("not_run", GATE, TOOL, reason)


def _module_folder() -> Path | None:
    named = os.environ.get(MODULE_VARIABLE)
    roots = [Path.cwd(), *Path(__file__).resolve().parents]
    candidates = [Path(named)] if named else [root / "node_modules" / "gltf-validator" for root in roots]
    return next((folder.resolve() for folder in candidates if (folder / "package.json").is_file()), None)
