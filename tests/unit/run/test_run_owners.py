"""Each object of a run changes only by its own methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dreamfoundry.run

ROOM = Path(dreamfoundry.run.__file__).parent


def foreign_assignments(source: str) -> Iterator[str]:
    """Assignments to an attribute of anything but `self`, as "line: target"."""
    for node in ast.walk(ast.parse(source)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = [part for target in node.targets for part in _parts(target)]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Attribute) and not _is_self(target.value):
                yield f"{target.lineno}: {ast.unparse(target)}"


def _parts(target: ast.expr) -> list[ast.expr]:
    return list(target.elts) if isinstance(target, ast.Tuple) else [target]


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "self"


@pytest.mark.parametrize("path", sorted(ROOM.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOM)))
def test_no_module_assigns_an_attribute_of_another_object(path: Path) -> None:
    assert list(foreign_assignments(path.read_text())) == []


@pytest.mark.parametrize("line", ["job.deaths = 1", "self._stats.steps_done += 1", "worker.state, worker.build = 1, 2"])
def test_an_assignment_from_outside_is_noticed(line: str) -> None:
    assert list(foreign_assignments(line))
