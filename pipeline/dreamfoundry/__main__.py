"""`python -m dreamfoundry`: the same as the command `dreamfoundry`."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
