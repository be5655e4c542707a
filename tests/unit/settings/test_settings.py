"""The settings as documentation: each key says what it is, and stored names belong to real fields."""

import ast
import dataclasses
import importlib
from pathlib import Path

import pytest

import dreamfoundry.settings

MODULES = sorted(path.stem for path in Path(dreamfoundry.settings.__path__[0]).glob("*.py"))


def keys_without_docstring(source: str) -> list[str]:
    """Class and name of each annotated field of a class that no string follows."""
    missing = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            for field, after in zip(node.body, [*node.body[1:], None], strict=True):
                is_key = isinstance(field, ast.AnnAssign) and ast.unparse(field.target) != "STORED_NAMES"
                is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                if isinstance(field, ast.AnnAssign) and is_key and not is_text:
                    missing.append(f"{node.name}.{ast.unparse(field.target)}")
    return missing


@pytest.mark.parametrize("module", MODULES)
def test_every_key_of_the_settings_has_a_docstring(module: str) -> None:
    source = Path(dreamfoundry.settings.__path__[0], f"{module}.py").read_text(encoding="utf-8")

    assert keys_without_docstring(source) == []


def test_a_key_without_a_docstring_is_noticed() -> None:
    assert keys_without_docstring("class A:\n    b: int = 3\n    c: int = 4\n    'text'\n") == ["A.b"]


@pytest.mark.parametrize("module", MODULES)
def test_stored_names_belong_to_fields_and_hide_no_other(module: str) -> None:
    for kind in vars(importlib.import_module(f"dreamfoundry.settings.{module}")).values():
        stored_names = getattr(kind, "STORED_NAMES", {})
        if isinstance(kind, type) and stored_names:
            names = {field.name for field in dataclasses.fields(kind)}
            assert stored_names.keys() <= names
            assert names.isdisjoint(stored_names.values())
