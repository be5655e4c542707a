"""Measure the code itself: sizes, parameters, paragraphs, and the arrows between folders.

    python infra/figures.py [PACKAGE]

docs/LOG.md quotes what it prints. It reads the files of one package (default: pipeline/dreamfoundry) and imports none.

exit codes: 0, or 4 where the folder holds no Python files
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from budgets import LONG_FUNCTION_LINES, ROOT, functions, questions

Arrow = tuple[str, str]
"""(importing, imported): two folders that lie directly in the package; a file at its root counts as a folder."""


def room(module: str) -> str:
    """The folder of `module` ("package.folder.….name") that lies directly in the package."""
    return module.split(".")[1]


def arrows(root: Path) -> set[Arrow]:
    """Every pair of different folders of which one imports the other, imports inside functions included."""
    found: set[Arrow] = set()
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if len(parts) < 2 or path == root / "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == root.name:
                found |= {(parts[1], target) for target in _targets(root, node)} - {(parts[1], parts[1])}
    return found


def _targets(root: Path, node: ast.ImportFrom) -> Iterator[str]:
    module = str(node.module)
    if "." in module:
        yield room(module)
        return
    for alias in node.names:
        if (root / alias.name).is_dir() or (root / f"{alias.name}.py").is_file():
            yield alias.name


def num_floors(pairs: set[Arrow]) -> int | None:
    """Length of the longest way down the arrows; None where they run in a circle."""
    floors = 0
    while pairs:
        lower = {target for _, target in pairs}
        top = {source for source, _ in pairs} - lower
        if not top:
            return None
        pairs = {pair for pair in pairs if pair[0] not in top}
        floors += 1
    return floors + 1


def figures(root: Path) -> dict[str, str]:
    """Name and value of each figure of the package in `root`."""
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}
    lines = [line for source in sources.values() for line in source.splitlines()]
    measured = [function for source in sources.values() for function in functions(source)]

    per_folder = Counter(path.parent for path in sources if path.name != "__init__.py")
    file_lines = [len(source.splitlines()) for source in sources.values()]
    sizes = [function.num_lines for function in measured]
    parameters = [function.num_parameters for function in measured]
    long = [function for function in measured if function.num_lines >= LONG_FUNCTION_LINES]
    pairs = arrows(root)
    folders = {end for pair in pairs for end in pair}
    comments = sum(line.strip().startswith("#") for line in lines)
    wide = sum(len(line) > 100 for line in lines)

    return {
        "files / lines": f"{len(sources)} / {len(lines)}",
        "files at the root / most in a folder": f"{len(list(root.glob('*.py')))} / {max(per_folder.values())}",
        "folders / arrows / floors": f"{len(folders)} / {len(pairs)} / {num_floors(pairs)}",
        "longest file / files over 300 lines": f"{max(file_lines)} / {sum(size > 300 for size in file_lines)}",
        "function median / p90 / longest": f"{median(sizes):g} / {quantiles(sizes, n=10)[-1]:g} / {max(sizes)}",
        "functions over 60 lines": f"{sum(size > 60 for size in sizes)}",
        "parameters p90 / most": f"{quantiles(parameters, n=10)[-1]:g} / {max(parameters)}",
        "functions of more than 8 parameters": f"{sum(count > 8 for count in parameters)}",
        "long functions without a paragraph": f"{sum(not f.has_paragraphs for f in long)} of {len(long)}",
        "docstrings that open with a question": f"{sum(len(list(questions(source))) for source in sources.values())}",
        "comment lines per 1,000": f"{1000 * comments / len(lines):.1f}",
        "lines over 100 columns": f"{100 * wide / len(lines):.1f} %",
    }


def main() -> int:
    root = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "pipeline" / "dreamfoundry"
    if not any(root.rglob("*.py")):
        print(
            f"{root}: no Python files; give the folder of a package, for instance pipeline/dreamfoundry",
            file=sys.stderr,
        )
        return 4

    for name, value in figures(root).items():
        print(f"{name:38}{value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
