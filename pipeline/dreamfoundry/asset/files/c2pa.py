"""Stage 7, content credentials: a signed statement beside the master, `<slug>.glb.c2pa`, that a model made it.

C2PA has no place inside a GLB yet, so the manifest is detached; it names the digest of the file. Signing
is on where the environment names a key and a certificate chain (PEM files, ES256) and c2pa-python is
installed (`pip install dreamfoundry[c2pa]`). A signature holds a time and a random number: this is the
one delivered file whose bytes differ between two exports of the same asset key.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
from pathlib import Path
from typing import Any

from dreamfoundry.identity import EXPORT_VERSION, GENERATOR
from dreamfoundry.records import Finding

GATE = "content_credential"
TOOL = "c2pa-python"
KEY_VARIABLE = "DREAMFOUNDRY_C2PA_KEY"
CERTIFICATE_VARIABLE = "DREAMFOUNDRY_C2PA_CERTIFICATE"
MEDIA_TYPE = "model/gltf-binary"


def signed(file: str, glb: bytes, digital_source_type: str) -> tuple[dict[str, bytes], list[Finding]]:
    """The detached credential of the GLB called `file`; no file, and the reason, where it cannot be signed."""
    key, certificate = os.environ.get(KEY_VARIABLE, ""), os.environ.get(CERTIFICATE_VARIABLE, "")
    if not key or not certificate:
        return {}, [_not_run(f"no key is configured ({KEY_VARIABLE} and {CERTIFICATE_VARIABLE} name PEM files)")]
    if importlib.util.find_spec("c2pa") is None:
        return {}, [_not_run("c2pa-python is not installed (pip install 'dreamfoundry[c2pa]')")]
    import c2pa

    try:
        credential = _sign(glb, _statement(file, digital_source_type), Path(key), Path(certificate))
        state = str(json.loads(c2pa.Reader(MEDIA_TYPE, io.BytesIO(glb), credential).json())["validation_state"])
    except (OSError, c2pa.C2paError) as error:
        return {}, [_not_run(f"{file} could not be signed: {type(error).__name__}: {error}")]
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


def _not_run(reason: str) -> Finding:
    return Finding("not_run", GATE, TOOL, reason)
