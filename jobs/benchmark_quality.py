"""`dreamfoundry dev bench-quality` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["dev", "bench-quality", *sys.argv[1:]]))
