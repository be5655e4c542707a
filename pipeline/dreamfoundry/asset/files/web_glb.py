"""Stage 6, the GLB for browsers: the master with compressed geometry (meshopt) and pictures (WebP).

A derivative: Blender, Unreal and Godot do not read it. It is made from the delivered bytes by
glTF-Transform in one Node process, which reads its own file back; where Node or its packages are
absent the gate "web" says "not_run". Colours are compressed with loss, all other maps without.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from dreamfoundry.asset.files.glb import split_glb
from dreamfoundry.errors import NodeUnavailable
from dreamfoundry.host.nodejs import package_folder, run_node
from dreamfoundry.records import Finding

GATE = "web"
TOOL = "gltf-transform"
PACKAGES = ("@gltf-transform/core", "@gltf-transform/extensions", "meshoptimizer")
LIMIT_S = 60.0
COLOR_QUALITY = 90


def web_glb(master: bytes, *, slug: str) -> tuple[dict[str, bytes], list[Finding]]:
    """`<slug>_web.glb` of the GLB of the finest level; no file, and the reason, where it cannot be made."""
    try:
        modules = {package_folder(package).parents[package.count("/")] for package in PACKAGES}
        with tempfile.TemporaryDirectory(prefix="dreamfoundry-") as folder:
            Path(folder, "master.glb").write_bytes(master)
            pictures = _pictures(master)
            for name, data in pictures.items():
                Path(folder, name).write_bytes(data)
            arguments = [str(modules.pop()), "master.glb", "web.glb", *pictures]
            run_node(Path(__file__).with_suffix(".mjs"), arguments, Path(folder), LIMIT_S)
            return {f"{slug}_web.glb": Path(folder, "web.glb").read_bytes()}, []
    except NodeUnavailable as error:
        return {}, [Finding("not_run", GATE, TOOL, str(error))]


def _pictures(master: bytes) -> dict[str, bytes]:
    """Every image of the file as WebP, in order."""
    document, binary = split_glb(master)
    colors = _color_images(document)
    made = {}
    for index, image in enumerate(document.get("images", ())):
        view = document["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(binary[start : start + view["byteLength"]])) as picture:
            picture.save(buffer, "WEBP", lossless=index not in colors, quality=COLOR_QUALITY, method=4)
        made[f"{index}.webp"] = buffer.getvalue()
    return made


def _color_images(document: Mapping[str, Any]) -> set[int]:
    described = [material["pbrMetallicRoughness"] for material in document.get("materials", ())]
    shown = [pbr["baseColorTexture"]["index"] for pbr in described if "baseColorTexture" in pbr]
    return {document["textures"][texture]["source"] for texture in shown}
