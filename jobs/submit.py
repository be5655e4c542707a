"""Submit a run to a Ray cluster: `dreamfoundry submit` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["submit", *sys.argv[1:]]))
