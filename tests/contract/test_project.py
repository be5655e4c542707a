"""The project's own promises: documents name real commands, and layers hold."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dreamfoundry.settings.loading import recipe_from_toml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline" / "dreamfoundry"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")])
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "jobs").glob("*.py")])

DRIVER_MODULES = (
    "dreamfoundry.errors",
    "dreamfoundry.records",
    "dreamfoundry.settings.recipe",
    "dreamfoundry.identity",
    "dreamfoundry.manifest.reader",
    "dreamfoundry.library.record_json",
    "dreamfoundry.object_store.open",
    "dreamfoundry.library.catalog",
    "dreamfoundry.library.library",
    "dreamfoundry.library.projections",
    "dreamfoundry.diffusion.weights",
    "dreamfoundry.run.scheduling.scheduler",
    "dreamfoundry.run.build",
)


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    requirement = pytest.importorskip("packaging.requirements").Requirement
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    asked = [requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]

    assert [str(one) for one in asked if pins.get(one.name.lower()) not in one.specifier] == []
    assert [f"{name}=={pin}" for name, pin in pins.items() if "+" in pin or "/" in pin] == []


def test_every_command_that_a_document_names_is_a_make_target() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        word
        for document in DOCUMENTS
        for word in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", document.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert {"demo", "test"} <= named
    assert named - targets == set()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert phony is not None
    assert sorted(re.findall(r"^  make ([a-z-]+)", shown, re.MULTILINE)) == sorted(phony[1].split())


def test_every_program_that_a_document_names_exists() -> None:
    named = {
        path for document in DOCUMENTS for path in re.findall(r"\bjobs/\w+\.py\b", document.read_text(encoding="utf-8"))
    }

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_command_line_that_a_document_shows_can_be_parsed() -> None:
    from dreamfoundry.cli.main import COMMANDS, DEV_COMMANDS

    dev = {name.replace("_", "-") for name in DEV_COMMANDS}
    named = {
        words
        for document in DOCUMENTS
        for words in re.findall(
            r"(?:^|`|\$ )dreamfoundry (dev [a-z-]+|[a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE
        )
    }

    assert {"preview", "make", "build", "status"} <= named
    assert named - set(COMMANDS) - {f"dev {name}" for name in dev} == set()


def test_every_recipe_that_a_document_shows_can_be_read(tmp_path: Path) -> None:
    shown = [
        block
        for document in DOCUMENTS
        if document.name != "PROFILES.md"  # shows an export profile
        for block in re.findall(r"^```toml\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ]
    assert len(shown) >= 2
    for block in shown:
        (tmp_path / "shown.toml").write_text(block)
        recipe_from_toml(tmp_path / "shown.toml")


def test_every_link_of_a_document_leads_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
        if not target.startswith("https://") and not (document.parent / target).exists()
    ]

    assert broken == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_nothing_imports_the_source_root_as_a_package() -> None:
    importers = [
        str(path.relative_to(ROOT))
        for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pipeline")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "pipeline" for alias in node.names))
    ]

    assert importers == []


def loaded_by(module: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after importing `module`."""
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", DRIVER_MODULES)
def test_the_drivers_side_loads_no_torch_and_no_ray(module: str) -> None:
    assert loaded_by(module) & {"torch", "diffusers", "transformers", "ray"} == set()


def test_importing_the_package_loads_no_heavy_library() -> None:
    assert loaded_by("dreamfoundry") & {"torch", "diffusers", "ray", "boto3", "numpy", "pyarrow"} == set()


def test_the_check_for_heavy_libraries_would_see_one() -> None:
    assert "numpy" in loaded_by("numpy")


def test_every_check_of_the_table_has_a_test_with_its_number_where_the_table_says() -> None:
    lines = (ROOT / "docs/CHECKS.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if re.match(r"\| \d+ \|", line)]
    assert [int(number) for _, number, *_ in rows] == list(range(1, 49))
    for _, number, _, places, state, _ in rows:
        files = re.findall(r"`(.*?)`", places)
        assert files or "open" in state, f"check {number} is neither shown nor open"
        for file in files:
            assert re.search(rf"def test_{int(number):02}_", (ROOT / file).read_text()), f"check {number} in {file}"
