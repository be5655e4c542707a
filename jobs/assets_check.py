"""`dreamfoundry dev check` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["dev", "check", *sys.argv[1:]]))
