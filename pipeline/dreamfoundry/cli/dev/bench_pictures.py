"""Measure the cost of pictures of a GLB in every available way, in seconds of CPU.

examples:
  dreamfoundry dev bench-pictures a_red_mushroom.glb
  dreamfoundry dev bench-pictures a_red_mushroom.glb --pictures out/

Our renderer draws a thumbnail of 512 px and turntables of 24 frames. Casting rays with embreex is
measured for visibility alone, as shading is the same after it. The browser draws in processes of
its own: its seconds are by the clock. A way that is absent is "not run".

exit codes:
   0  measured
   4  the command line cannot be used
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import ExistingFile, OutputFolder
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("bench-pictures", __doc__)


@app.default
def bench_pictures(
    glb: Annotated[ExistingFile, Parameter(help="a level that was delivered")],
    /,
    *,
    pictures: Annotated[OutputFolder | None, Parameter(help="folder for the thumbnails")] = None,
) -> int:
    """Print the seconds of every way, and write the thumbnails if there is a folder for them; the exit code."""
    from dreamfoundry.asset.files.png import encode_png
    from dreamfoundry.evaluation.benchmark.pictures import measure_pictures

    drawn = measure_pictures(glb.name, glb.read_bytes(), print)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        for name, picture in drawn.items():
            if picture is not None:
                (pictures / f"{name}.png").write_bytes(encode_png(picture))
    return EXIT_CODES["complete"]
