"""Make a manifest from lines of text, CSV, TSV, JSON Lines or JSON: `dreamfoundry make` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["make", *sys.argv[1:]]))
