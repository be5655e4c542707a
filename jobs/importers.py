"""`dreamfoundry dev importers` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["dev", "importers", *sys.argv[1:]]))
