"""Roles of delivered files by their names, which docs/DELIVERY.md lists: the purpose of each, for programs.

`asset.json` and the catalog share them.
"""

from __future__ import annotations

from typing import NamedTuple

OTHER = "other"
"""The role of a file whose name this version does not know."""

_BY_NAME = {
    "asset.json": "metadata",
    "validation.json": "validation",
    "thumbnail.png": "thumbnail",
    "turntable.webp": "turntable",
    "turntable.mp4": "video",
}

_BY_ENDING = {
    ".usdz": "usdz",
    ".glb.c2pa": "credential",
    "_collision.glb": "collision",
    "_dense.glb": "dense",
    "_unreal.glb": "unreal",
    "_godot.glb": "godot",
    "_web.glb": "web",
}
"""What follows the slug."""


ROLES = frozenset({"level", "thumbnail_small", OTHER, *_BY_NAME.values(), *_BY_ENDING.values()})
"""Every role."""


class Role(NamedTuple):
    """A role, and for a level its number: 0 is the finest."""

    name: str
    level: int | None = None


def role_of(name: str, slug: str) -> Role:
    """The role of the file `name` of an asset whose files begin with `slug`."""
    if name in _BY_NAME:
        return Role(_BY_NAME[name])
    if name.startswith("thumb_") and name.endswith(".webp"):
        return Role("thumbnail_small")

    ending = name.removeprefix(slug)
    if ending == ".glb":
        return Role("level", 0)
    number = ending.removeprefix("_LOD").removesuffix(".glb")
    if ending == f"_LOD{number}.glb" and number.isascii() and number.isdecimal():
        return Role("level", int(number))
    return Role(_BY_ENDING.get(ending, OTHER))
