"""Copy a prior to S3: `dreamfoundry mirror` as a program."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main("mirror"))
