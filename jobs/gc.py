"""Find and remove what a library no longer needs: `dreamfoundry gc` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["gc", *sys.argv[1:]]))
