"""The shape of the repository: small folders, a true map, tests beside the rooms they test."""

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline" / "dreamfoundry"
UNIT = ROOT / "tests" / "unit"

MAX_ROOT_MODULES = 7
MAX_FOLDER_MODULES = 16

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]


def test_no_folder_holds_more_modules_than_a_person_can_take_in() -> None:
    folders = Counter(module.parent for module in MODULES)

    assert folders.pop(Path()) <= MAX_ROOT_MODULES
    assert {str(folder): count for folder, count in folders.items() if count > MAX_FOLDER_MODULES} == {}


def test_every_folder_names_each_of_its_modules_and_folders() -> None:
    unnamed = []
    for folder in sorted({module.parent for module in MODULES} - {Path()}):
        text = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        inside = [path.stem for path in (PACKAGE / folder).glob("*.py") if path.stem != "__init__"]
        inside += [path.parent.name for path in (PACKAGE / folder).glob("*/__init__.py")]
        unnamed += [str(folder / name) for name in inside if not re.search(rf"\b{name}\b", text)]

    assert unnamed == []


def floors(text: str) -> list[str]:
    """The first column of a map, floor by floor; a line that begins with a space goes on with the one above."""
    return [line.split("  ")[0] for line in text.splitlines() if line and not line.startswith(" ")]


def test_the_map_of_the_architecture_shows_the_contracts() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms, inside = re.findall(r"^```\n(.*?)^```", text[text.index("## Rooms") :], re.MULTILINE | re.DOTALL)[:2]
    asset, run = inside.split("\n\n")
    drawn = {
        "dreamfoundry": floors(rooms),
        "dreamfoundry.asset": floors(asset.removeprefix("asset:\n")),
        "dreamfoundry.run": floors(run.removeprefix("run:\n")),
    }

    checked = {contract["containers"][0]: contract["layers"] for contract in CONTRACTS if contract["type"] == "layers"}
    assert drawn == checked


def test_a_test_file_is_named_after_a_module_or_the_room_of_its_folder() -> None:
    strangers = []
    for path in UNIT.rglob("test_*.py"):
        room = path.parent.relative_to(UNIT)
        names = [module.stem for module in MODULES if module.parent == room] + [room.name]
        if not any(path.stem == f"test_{name}" or path.stem.startswith(f"test_{name}_") for name in names):
            strangers.append(str(path.relative_to(ROOT)))

    assert strangers == []
