"""Make a manifest from lines of text, CSV, TSV, JSON Lines or JSON: `dreamfoundry make` as a program."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main("make"))
