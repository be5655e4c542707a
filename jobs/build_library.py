"""Build a library of 3D assets: `dreamfoundry build` as the program that `ray job submit` runs."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main("build"))
