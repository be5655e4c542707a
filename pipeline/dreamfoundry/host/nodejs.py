"""Programs for Node that come with this package (*.mjs), run to their end in a process that can be killed.

Node and the npm packages are optional. Packages are looked for in node_modules of the current folder
and of the folders above this file (`npm ci` in the repository puts them there).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dreamfoundry.host.child_process import die_with


class NodeUnavailableError(Exception):
    """Node, a package or an answer is missing; the message says which, and what would help."""


def package_folder(package: str, named: str = "") -> Path:
    """Where an npm package is: in the folder `named`, if one is, else in a node_modules."""
    roots = [Path.cwd(), *Path(__file__).resolve().parents]
    candidates = [Path(named)] if named else [root / "node_modules" / package for root in roots]
    for folder in candidates:
        if (folder / "package.json").is_file():
            return folder.resolve()
    raise NodeUnavailableError(f"npm package {package} not found; run `npm ci`")


def run_node(script: Path, arguments: Sequence[str], folder: Path, limit_s: float) -> bytes:
    """Run the program `script` in `folder` until it ends; returns what it printed."""
    node = shutil.which("node")
    if node is None:
        raise NodeUnavailableError("Node is not installed (no `node` on PATH)")
    try:
        answer = subprocess.run(
            [node, str(script), *arguments],
            cwd=folder,
            capture_output=True,
            timeout=limit_s,
            preexec_fn=partial(die_with, os.getpid()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NodeUnavailableError(f"{script.name} did not end within {limit_s:g} s") from None
    if answer.returncode != 0:
        words = [line for line in answer.stderr.decode(errors="replace").splitlines() if "Error" in line]
        raise NodeUnavailableError(f"node ended with {answer.returncode}: {words[0] if words else 'no message'}")
    return answer.stdout
