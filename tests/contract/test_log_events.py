"""The table of log events in docs/RUNBOOK.md has every event that the code sends, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SENDERS = {"log_event": 1, "_log": 0}
"""Functions that send an event, and the position of its name among their arguments."""


def sent() -> Iterator[str]:
    """The name of each event that a module of the package sends."""
    for path in sorted((ROOT / "pipeline" / "dreamfoundry").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        values = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            sender = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if sender in SENDERS:
                yield from _names(node.args[SENDERS[sender]], values)


def _names(value: ast.expr, values: dict[str, ast.expr]) -> Iterator[str]:
    """The strings that an argument can be: a literal, either side of a condition, or a variable with one of these."""
    if isinstance(value, ast.Constant):
        yield str(value.value)
    elif isinstance(value, ast.IfExp):
        yield from _names(value.body, values)
        yield from _names(value.orelse, values)
    elif isinstance(value, ast.Name) and value.id in values:
        yield from _names(values[value.id], values)


def test_the_runbook_names_every_event_and_no_other() -> None:
    text = (ROOT / "docs" / "RUNBOOK.md").read_text(encoding="utf-8")
    section = text.split("\n## Follow one asset through a night\n")[1].split("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| "))

    named = re.findall(r"`(\w+)`", rows)

    assert sorted(named) == sorted(set(sent()))
    assert len(named) >= 40
