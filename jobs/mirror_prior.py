"""Copy a prior to S3, from where every worker fetches it.

examples:
  python jobs/mirror_prior.py models/stable-diffusion-2-1-base s3://bucket/priors/sd21

Takes a folder as diffusers saves it and copies what a prior is loaded from: no safety checker, no
pickles, an fp16 variant only where there is nothing else. The digest of the weights comes last, as
weights.sha256, so a copy that was cut off states none; run the same line again. Prints the lines for
a recipe.

exit codes:
   0  the prior can be used from there
   1  the folder or the store cannot be reached
   4  the command line cannot be used, or another prior lies there
"""

from __future__ import annotations

import sys
from pathlib import Path

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.diffusion.weights_cache import upload_prior
from dreamfoundry.object_store.open import open_store


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("folder", metavar="FOLDER", type=Path, help="a prior as diffusers saves it")
    command_line.add_argument("url", metavar="URL", help="s3://bucket/folder, a place of its own")
    arguments = command_line.parse_args()
    return exit_code_of(lambda: mirror(arguments.folder, arguments.url))


def mirror(folder: Path, url: str) -> int:
    digest = upload_prior(folder, open_store(url))
    print(f'[prior]\npath = "{url}"\ndigest = "{digest}"\nlicence = "…"  # its SPDX id')
    return 0


if __name__ == "__main__":
    sys.exit(main())
