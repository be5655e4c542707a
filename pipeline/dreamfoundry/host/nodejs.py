"""Run the Node programs of this package (*.mjs) to their end, in a process that can be killed.

Node and the npm packages are optional. Packages are looked up in node_modules of the current folder
and of the folders above this file (`npm ci` in the repository puts them there).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dreamfoundry.errors import NodeUnavailable
from dreamfoundry.host.child_process import die_with


def package_folder(package: str, named: str = "") -> Path:
    """The folder of an npm package: `named`, if given, else one in a node_modules. Raises NodeUnavailable."""
    roots = [Path.cwd(), *Path(__file__).resolve().parents]
    candidates = [Path(named)] if named else [root / "node_modules" / package for root in roots]
    for folder in candidates:
        if (folder / "package.json").is_file():
            return folder.resolve()
    raise NodeUnavailable(f"npm package {package} not found; run `npm ci`")


def run_node(script: Path, arguments: Sequence[str], folder: Path, limit_s: float) -> bytes:
    """Run the program `script` in `folder`; returns its standard output.

    Raises NodeUnavailable where Node is absent, and where the program fails or runs longer than `limit_s`.
    """
    node = shutil.which("node")
    if node is None:
        raise NodeUnavailable("Node is not installed (no `node` on PATH)")

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
        raise NodeUnavailable(f"{script.name} did not end within {limit_s:g} s") from None

    if answer.returncode != 0:
        words = [line for line in answer.stderr.decode(errors="replace").splitlines() if "Error" in line]
        raise NodeUnavailable(f"node ended with {answer.returncode}: {words[0] if words else 'no message'}")
    return answer.stdout
