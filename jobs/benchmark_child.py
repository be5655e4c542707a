"""`dreamfoundry dev bench-child` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["dev", "bench-child", *sys.argv[1:]]))
