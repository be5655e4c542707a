"""The tree of exceptions in the docstring of `errors` is that of the classes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import dreamfoundry
from dreamfoundry import errors

PACKAGE = Path(dreamfoundry.__file__).parent


def drawn() -> Iterator[tuple[str, str]]:
    """(class, its parent) of every line of the drawing."""
    above: list[str] = []
    for line in str(errors.__doc__).splitlines():
        match = re.match(r"(?P<indent>[│ ├└─]*)(?P<name>[A-Z]\w+)(  | *$)|^DreamfoundryError$", line)
        if match is None or (match["indent"] is not None and not match["indent"] and above):
            continue
        depth = len(match["indent"] or "") // 4
        name = match["name"] or "DreamfoundryError"
        del above[depth:]
        if above:
            yield name, above[-1]
        above.append(name)


def descended(parent: type[Exception]) -> Iterator[tuple[str, str]]:
    for child in parent.__subclasses__():
        yield child.__name__, parent.__name__
        yield from descended(child)


def test_every_class_is_drawn_under_its_parent() -> None:
    assert set(drawn()) == set(descended(errors.DreamfoundryError))


def test_no_other_module_has_an_exception_that_leaves_it() -> None:
    strays = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != Path(errors.__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for base in node.bases
        if isinstance(base, ast.Name) and (base.id == "Exception" or hasattr(errors, base.id))
    ]

    assert strays == []
