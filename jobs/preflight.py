"""Load a prior and measure what fits: `dreamfoundry preflight` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["preflight", *sys.argv[1:]]))
