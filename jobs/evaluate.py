"""`dreamfoundry dev evaluate` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["dev", "evaluate", *sys.argv[1:]]))
