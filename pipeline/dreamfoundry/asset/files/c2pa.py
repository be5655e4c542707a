"""Stage 6, content credentials: a signed statement beside the master, `<slug>.glb.c2pa`, that a model made it.

C2PA has no place inside a GLB yet, so the manifest is detached; it names the digest of the file. Signing
is on where the environment names a key and a certificate chain (PEM files, ES256) and c2pa-python is
installed (`pip install dreamfoundry[c2pa]`). A signature holds a time and a random number: so two
exports of the same asset key differ in this file, and in its digest in `asset.json`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
from pathlib import Path
from typing import Any

from dreamfoundry.asset.files.deliverable import Deliverable, Made, always
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.errors import ToolUnavailable
from dreamfoundry.identity import EXPORT_VERSION, GENERATOR
from dreamfoundry.records import Finding

GATE = "content_credential"
TOOL = "c2pa-python"
KEY_VARIABLE = "DREAMFOUNDRY_C2PA_KEY"
CERTIFICATE_VARIABLE = "DREAMFOUNDRY_C2PA_CERTIFICATE"
MEDIA_TYPE = "model/gltf-binary"


def sign(file: str, glb: bytes, digital_source_type: str) -> Made:
    """The detached credential of the GLB called `file`; it blocks where it does not read back as valid.

    Raises ToolUnavailable where no key is configured, c2pa-python is absent, or signing fails.
    """
    key, certificate = os.environ.get(KEY_VARIABLE, ""), os.environ.get(CERTIFICATE_VARIABLE, "")
    if not key or not certificate:
        raise ToolUnavailable(f"no key is configured ({KEY_VARIABLE} and {CERTIFICATE_VARIABLE} name PEM files)")
    if importlib.util.find_spec("c2pa") is None:
        raise ToolUnavailable("c2pa-python is not installed (pip install 'dreamfoundry[c2pa]')")
    import c2pa

    # read back at once: a credential that no reader accepts must not be delivered
    try:
        credential = _sign(glb, _statement(file, digital_source_type), Path(key), Path(certificate))
        state = str(json.loads(c2pa.Reader(MEDIA_TYPE, io.BytesIO(glb), credential).json())["validation_state"])
    except (OSError, c2pa.C2paError) as error:
        raise ToolUnavailable(f"{file} could not be signed: {type(error).__name__}: {error}") from error

    if state not in ("Valid", "Trusted"):
        return {}, [Finding("block", GATE, TOOL, f"the credential of {file} reads back as {state!r}")]
    return {f"{file}.c2pa": credential}, []


def _statement(file: str, digital_source_type: str) -> dict[str, Any]:
    created = {"action": "c2pa.created", "digitalSourceType": digital_source_type}
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": EXPORT_VERSION}],
        "title": file,
        "format": MEDIA_TYPE,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


def _sign(glb: bytes, statement: dict[str, Any], key: Path, certificate: Path) -> bytes:
    import c2pa

    # None rather than an empty address: no time stamp of an authority, which would want the network.
    info = c2pa.C2paSignerInfo(b"es256", certificate.read_bytes(), key.read_bytes(), None)
    builder = c2pa.Builder(statement)
    builder.set_no_embed()
    return bytes(builder.sign(c2pa.Signer.from_info(info), MEDIA_TYPE, io.BytesIO(glb), io.BytesIO()))


def _credential(draft: AssetDraft) -> Made:
    return sign(draft.master.name, draft.master.data, str(draft.metadata["digital_source_type"]))


CREDENTIAL = Deliverable(
    gate=GATE,
    tool=TOOL,
    stage="sign",
    moment="after_gates",
    unwanted=always,
    make=_credential,
    media_types={"c2pa": "application/c2pa"},
)
