"""Say whether a store can carry a library: `dreamfoundry doctor` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["doctor", *sys.argv[1:]]))
