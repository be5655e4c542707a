"""`dreamfoundry dev bench-pictures` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["dev", "bench-pictures", *sys.argv[1:]]))
