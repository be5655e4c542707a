"""Submit a run to a Ray cluster: `dreamfoundry submit` as a program."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main("submit"))
