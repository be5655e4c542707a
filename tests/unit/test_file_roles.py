"""Every file that an export makes has a role, and the levels have their numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dreamfoundry.file_roles import Role, role_of

DELIVERY = Path(__file__).parents[2] / "docs" / "DELIVERY.md"


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("chair.glb", Role("level", 0)),
        ("chair_LOD1.glb", Role("level", 1)),
        ("chair_LOD12.glb", Role("level", 12)),
        ("chair_collision.glb", Role("collision")),
        ("chair.glb.c2pa", Role("credential")),
        ("thumb_64.webp", Role("thumbnail_small")),
        ("chair_LOD.glb", Role("other")),
        ("chair_LODx.glb", Role("other")),
        ("chair_LOD²⁹.glb", Role("other")),
        ("stool.glb", Role("other")),
        ("notes.txt", Role("other")),
        ("", Role("other")),
    ],
)
def test_a_file_is_known_by_its_name(name: str, role: Role) -> None:
    assert role_of(name, "chair") == role


@pytest.mark.parametrize("slug", ["chair", "chair_collision", "thumb_1", "lod1", "a"])
def test_every_file_that_the_table_of_deliverables_lists_has_a_role_of_its_own(slug: str) -> None:
    table = DELIVERY.read_text(encoding="utf-8").split("| file |")[1].split("\n\n")[0]
    names = [name for line in table.splitlines() for name in re.findall(r"`([^`]+)`", line.split("|")[1])]
    assert len(names) >= 14

    roles = [role_of(name.replace("chair", slug), slug) for name in names]
    assert "other" not in {role.name for role in roles}
    assert len({*roles}) == len(names)
