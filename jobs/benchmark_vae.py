"""`dreamfoundry dev bench-vae` as a program."""

import sys

from dreamfoundry.cli.main import main

if __name__ == "__main__":
    sys.exit(main("dev", "bench-vae"))
