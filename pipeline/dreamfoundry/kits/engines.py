"""The files of an asset that an engine wants, and the script that imports them there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from dreamfoundry.file_roles import role_of


@dataclass(frozen=True)
class Engine:
    """A program that assets are collected for.

    `roles` are of the files it wants (`file_roles`). With `bundle`, the finest level and the hulls come as
    one file of that role, and by themselves only where an asset has no such file. `kit` is the script's file in this
    package, `place` the path that it gets in the folder.
    """

    roles: frozenset[str]
    bundle: str = ""
    kit: str = ""
    place: str = ""

    def wanted(self, names: Iterable[str], slug: str) -> list[str]:
        """Those of an asset's files `names` that it wants, sorted."""
        roles = {name: role_of(name, slug) for name in sorted(names)}
        if not self.roles:
            return list(roles)

        bundled = bool(self.bundle) and any(role.name == self.bundle for role in roles.values())
        return [
            name
            for name, role in roles.items()
            if role.name in self.roles | {self.bundle}
            and not (bundled and (role.name == "collision" or (role.name, role.level) == ("level", 0)))
        ]

    def kit_bytes(self) -> bytes:
        """The script, b"" where there is none."""
        return resources.files(__package__).joinpath(self.kit).read_bytes() if self.kit else b""


_SOLID = frozenset({"level", "collision", "metadata"})

ENGINES: Mapping[str, Engine] = {
    "": Engine(frozenset()),
    "blender": Engine(_SOLID | {"thumbnail"}, "", "dreamfoundry_blender.py", "dreamfoundry_blender.py"),
    "godot": Engine(_SOLID, "godot", "dreamfoundry_godot.gd", "dreamfoundry_godot.gd"),
    "unreal": Engine(_SOLID, "unreal", "dreamfoundry_unreal.py", "dreamfoundry_unreal.py"),
    "unity": Engine(_SOLID, "", "DreamfoundryKit.cs", "Editor/DreamfoundryKit.cs"),
}
"""By name; "" is no engine in particular: every file, and no script."""
