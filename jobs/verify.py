"""Check that a library is whole: `dreamfoundry verify` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["verify", *sys.argv[1:]]))
