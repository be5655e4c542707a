"""Where the packages of package.json lie: the optional tools that Node or a browser runs.

A package is looked for in the folder that its environment variable names, then in node_modules of
the current folder and of the folders above this file (`npm ci` in the repository puts it there).
"""

from __future__ import annotations

import os
from pathlib import Path


def package_folder(name: str, variable: str) -> Path | None:
    """The folder of the npm package `name`, or None; the environment variable `variable` decides alone."""
    named = os.environ.get(variable)
    roots = [Path.cwd(), *Path(__file__).resolve().parents]
    candidates = [Path(named)] if named else [root / "node_modules" / name for root in roots]
    return next((folder.resolve() for folder in candidates if (folder / "package.json").is_file()), None)
