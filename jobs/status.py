"""Say how a library stands: `dreamfoundry status` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["status", *sys.argv[1:]]))
