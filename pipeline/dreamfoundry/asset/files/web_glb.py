"""Stage 6, the GLB for browsers: the master with compressed geometry (meshopt) and pictures (WebP).

A derivative: Blender, Unreal and Godot do not read it. It is made from the delivered bytes by
glTF-Transform in one Node process, which reads its own file back; where Node or its packages are
absent the gate "web" says "not_run". Colours are compressed with loss, all other maps without.
"""

from __future__ import annotations

import copy
import io
import tempfile
from pathlib import Path

from PIL import Image

from dreamfoundry.asset.files.deliverable import Deliverable, Made
from dreamfoundry.asset.files.draft import AssetDraft
from dreamfoundry.asset.files.glb import join_glb
from dreamfoundry.asset.files.glb_reader import Glb
from dreamfoundry.host.nodejs import package_folder, run_node
from dreamfoundry.identity import canonical_json

GATE = "web"
TOOL = "gltf-transform"
PACKAGES = ("@gltf-transform/core", "@gltf-transform/extensions", "meshoptimizer")
LIMIT_S = 60.0
COLOR_QUALITY = 90


def web_glb(master: Glb) -> bytes:
    """The web version of the finest level. Raises NodeUnavailable where Node or a package is absent, or refuses it."""
    modules = {package_folder(package).parents[package.count("/")] for package in PACKAGES}
    with tempfile.TemporaryDirectory(prefix="dreamfoundry-") as folder:
        Path(folder, "master.glb").write_bytes(_renamed(master))
        pictures = _webp_images(master)
        for name, data in pictures.items():
            Path(folder, name).write_bytes(data)

        arguments = [str(modules.pop()), "master.glb", "web.glb", *pictures]
        run_node(Path(__file__).with_suffix(".mjs"), arguments, Path(folder), LIMIT_S)
        return Path(folder, "web.glb").read_bytes()


def _renamed(master: Glb) -> bytes:
    """`master` under the names of the file for browsers: its pictures and coordinates are not those of the level."""
    document, (level,) = copy.deepcopy(dict(master.document)), master.node_names
    for kind in ("nodes", "meshes", "materials", "textures", "images"):
        for item in document.get(kind, ()):
            item["name"] = item["name"].replace(level, f"{level.removesuffix('_LOD0')}_web")
    return join_glb(canonical_json(document), master.binary)


def _webp_images(master: Glb) -> dict[str, bytes]:
    """Every image of the file as WebP, in order."""
    colors = _color_images(master)
    encoded = {}
    for index in range(len(master.document.get("images", ()))):
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(master.image(index))) as picture:
            picture.save(buffer, "WEBP", lossless=index not in colors, quality=COLOR_QUALITY, method=4)
        encoded[f"{index}.webp"] = buffer.getvalue()
    return encoded


def _color_images(glb: Glb) -> set[int]:
    """Numbers of the images that are base colours, which alone may be compressed with loss."""
    factors = [material["pbrMetallicRoughness"] for material in glb.document.get("materials", ())]
    textures = [pbr["baseColorTexture"]["index"] for pbr in factors if "baseColorTexture" in pbr]
    return {glb.document["textures"][texture]["source"] for texture in textures}


def _web_glb(draft: AssetDraft) -> Made:
    return {f"{draft.slug}_web.glb": web_glb(draft.master)}, []


WEB_GLB = Deliverable(
    gate=GATE,
    tool=TOOL,
    stage="web",
    moment="before_gates",
    unwanted=lambda profile: "" if profile.web else "the profile orders no file for browsers",
    make=_web_glb,
)
