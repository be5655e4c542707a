"""Say how a library stands: `dreamfoundry status` as a program."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main("status"))
