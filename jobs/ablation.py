"""`dreamfoundry dev ablation` as a program."""

import sys

from dreamfoundry.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["dev", "ablation", *sys.argv[1:]]))
