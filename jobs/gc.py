"""Find and remove what a library no longer needs: `dreamfoundry gc` as a program."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main("gc"))
