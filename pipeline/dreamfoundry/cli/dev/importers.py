"""Open delivered assets in the programs of others, and compare what these import with the sidecar.

examples:
  dreamfoundry dev importers library/assets/*/*/
  dreamfoundry dev importers library/assets/0001/3f.../ --only assimp
  DREAMFOUNDRY_BLENDER_PYTHON=bpy/bin/python dreamfoundry dev importers library/assets/*/*/ --only blender

Three readers, none of which shares code with ours: three.js in Chromium (`npm ci`, and chromium on
PATH), the Open Asset Import Library (its program `assimp`), and Blender (an interpreter with the
module bpy, named by the environment variable DREAMFOUNDRY_BLENDER_PYTHON). One that is absent is
reported as "not run". Dimensions, triangles and pictures of every level must be those of asset.json.

exit codes:
   0  all that ran agree with the sidecars
   1  one disagrees, or refuses a file
   4  the command line cannot be used
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.errors import InputError
from dreamfoundry.run.exit_codes import EXIT_CODES

Reader = Literal["three.js", "assimp", "blender"]

app = command_app("importers", __doc__)


@app.default
def importers(
    folders: Annotated[list[Path], Parameter(help="folders of assets, each with asset.json and GLBs")],
    /,
    *,
    only: Annotated[Reader | None, Parameter(help="one reader instead of all")] = None,
) -> int:
    """Print the disagreements of each reader over the assets in `folders`; the exit code."""
    from dreamfoundry.evaluation.delivery.disagreements import levels_of

    try:
        levels = {folder: levels_of(folder) for folder in folders}
    except OSError as error:
        advice = "name folders of assets: LIBRARY/assets/ID/KEY"
        raise InputError(f"{error.filename}: {error.strerror}; {advice}") from None
    num_bad = sum(_report(name, levels) for name in ([only] if only else get_args(Reader)))
    return EXIT_CODES["failed" if num_bad else "complete"]


def _report(name: str, levels: Mapping[Path, Sequence[Path]]) -> int:
    """Print the disagreements of one reader; their number."""
    from dreamfoundry.errors import ReaderUnavailable
    from dreamfoundry.evaluation.delivery.disagreements import all_disagreements

    try:
        lines = all_disagreements(name, levels)
    except ReaderUnavailable as reason:
        print(f"{name}: not run: {reason}")
        return 0
    num_files = sum(map(len, levels.values()))
    print(f"{name}: {num_files} files of {len(levels)} assets, {len(lines)} disagreements")
    for line in lines:
        print(f"  {line}")
    return len(lines)
