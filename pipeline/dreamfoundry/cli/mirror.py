"""Copy a prior to S3, from where every worker fetches it.

examples:
  dreamfoundry mirror models/stable-diffusion-2-1-base s3://bucket/priors/sd21

Takes a folder as diffusers saves it and copies what a prior is loaded from: no safety checker, no pickles, an
fp16 variant only where there is nothing else. The digest of the weights comes last, as weights.sha256, so an
interrupted copy has none; run the same line again. Prints the lines for a recipe.

exit codes:
   0  the prior can be used from there
   1  the folder or the store cannot be reached
   4  the command line cannot be used, or another prior is there
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.errors import ConfigError
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("mirror", __doc__)


@app.default
def mirror(
    folder: Annotated[Path, Parameter(help="a prior as diffusers saves it")],
    url: Annotated[str, Parameter(help="s3://bucket/folder, a place of its own")],
    /,
) -> int:
    """Upload, and print the lines of a recipe that uses the copy."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name one with a prior as diffusers saves it")

    from dreamfoundry.diffusion.weights_cache import upload_prior
    from dreamfoundry.object_store.open import open_store

    digest = upload_prior(folder, open_store(url))
    print(f'[prior]\npath = "{url}"\ndigest = "{digest}"\nlicence = "…"  # its SPDX id')
    return EXIT_CODES["complete"]
