"""Refuse code that is too big to read in one breath: `make lint` runs this on the whole repository.

    python infra/budgets.py [PATH ...]

The limits and the exceptions, each with its reason, are in `[tool.dreamfoundry.budgets]` of pyproject.toml.
An exception is a path, or a path and a function ("jobs/x.py::main"); one that is no longer needed is refused too.

exit codes: 0 within the budgets, 1 not
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

LONG_FUNCTION_LINES = 20
"""From this length on a function needs paragraphs: a blank line or a comment between its steps."""

QUESTION_WORDS = frozenset(["What", "How", "Whether", "Where", "Which"])
"""A docstring names a thing or commands; it does not open with a question."""


@dataclass(frozen=True)
class Function:
    """One function as a reader meets it; `num_lines` is the body without its docstring."""

    name: str
    line: int
    num_lines: int
    num_parameters: int
    has_paragraphs: bool


def functions(source: str) -> Iterator[Function]:
    """Every function and method of a module, nested ones included."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue

        has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
        first = node.body[1 if has_docstring else 0].lineno
        end = node.end_lineno or first
        body = [line.strip() for line in lines[first - 1 : end]]

        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        yield Function(
            name=node.name,
            line=node.lineno,
            num_lines=len(body),
            num_parameters=sum(argument.arg not in ("self", "cls") for argument in arguments),
            has_paragraphs=any(not line or line.startswith("#") for line in body),
        )


def questions(source: str) -> Iterator[int]:
    """Lines whose docstring opens with a question word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = (ast.get_docstring(node) or "").split()
            if words and words[0] in QUESTION_WORDS:
                yield getattr(node, "lineno", 1)


def overruns(path: str, source: str, limits: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name of the exception that would allow it, sentence) for each budget that `source` exceeds."""
    num_lines = len(source.splitlines())
    if num_lines > limits["file_lines"]:
        yield path, f"{path}: {num_lines} lines; at most {limits['file_lines']}: split it by concept"

    for line in questions(source):
        yield f"{path}:{line}", f"{path}:{line}: a docstring opens with a question word; name the thing, or command"

    for function in functions(source):
        where, name = f"{path}:{function.line}: {function.name}", f"{path}::{function.name}"
        if function.num_lines > limits["function_lines"]:
            yield name, f"{where}: {function.num_lines} lines; at most {limits['function_lines']}"
        if function.num_parameters > limits["parameters"]:
            yield name, f"{where}: {function.num_parameters} parameters; at most {limits['parameters']}"
        if function.num_lines >= LONG_FUNCTION_LINES and not function.has_paragraphs:
            yield name, f"{where}: {function.num_lines} lines without a paragraph"


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    budgets = project["tool"]["dreamfoundry"]["budgets"]
    exceptions: dict[str, str] = budgets["exceptions"]
    folders = [Path(argument) for argument in sys.argv[1:]] or [ROOT / folder for folder in budgets["folders"]]

    exceeded: list[tuple[str, str]] = []
    for path in sorted(path for folder in folders for path in (folder.rglob("*.py") if folder.is_dir() else [folder])):
        name = path.resolve().relative_to(ROOT).as_posix() if path.resolve().is_relative_to(ROOT) else str(path)
        exceeded += overruns(name, path.read_text(encoding="utf-8"), budgets)

    refused = [sentence for name, sentence in exceeded if name not in exceptions]
    if not sys.argv[1:]:
        refused += [f"{name}: within the budgets; remove its exception" for name in exceptions.keys() - dict(exceeded)]
    print("\n".join(refused) or f"within the budgets ({len(exceptions)} exceptions)")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
