"""Names of files, nodes, materials and textures: unique in a whole library, readable, safe on every system.

An engine puts what it imports into one folder, and most of them take two materials of one name for one. So
every name carries the asset, and what has pictures or coordinates of its own carries the part too. No name is
that of a Windows device, because the asset key ends each of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from anyascii import anyascii

from dreamfoundry.identity import slug

SCENE = "Scene"
"""Name of every scene: readers that need unique names would number a node called as its scene is."""

KEY_CHARS = 8
"""Characters of the asset key behind the words. Six would let two of a thousand assets of one prompt share a name
once in thirty libraries, eight do once in ten thousand."""

KEY_CHARS_ALONE = 12
"""The same where there are no words, so that all assets of a library are told apart by their keys."""


def file_stem(metadata: Mapping[str, object]) -> str:
    """The beginning of every name of an asset, as in "a_red_chair_3f9c21ab": words of the prompt, then its asset key.

    Other scripts are transliterated. A prompt that is left out of `metadata` is not told: "asset_3f9c21ab04d7".
    """
    words, key = slug(anyascii(str(metadata.get("prompt", "")))), str(metadata["asset_key"])
    return f"asset_{key[:KEY_CHARS_ALONE]}" if words == slug("") else f"{words}_{key[:KEY_CHARS]}"


def level_name(stem: str, number: int) -> str:
    """Name of the node and mesh of a level, 0 the finest."""
    return f"{stem}_LOD{number}"


def hull_name(stem: str, number: int) -> str:
    """Name of the node and mesh of a collision hull of the finest level, as Unreal wants it."""
    return f"UCX_{level_name(stem, 0)}_{number:02d}"


def material_name(part: str) -> str:
    """Name of the material of `part`: a level, the dense surface or the file for browsers."""
    return f"M_{part}"


def texture_name(part: str, content: str) -> str:
    """Name of a picture of `part`; `content` is "BC" (base colour), "N" (normals) or "AO" (occlusion)."""
    return f"T_{part}_{content}"
