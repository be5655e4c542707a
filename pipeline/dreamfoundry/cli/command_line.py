"""What the programs in jobs/ share: help that teaches, and documented exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from dreamfoundry.errors import DreamfoundryError, InputError
from dreamfoundry.run.exit_codes import EXIT_CODES


class CommandLine(argparse.ArgumentParser):
    """Arguments of a program whose docstring is `about`: one line, then what there is to teach.

    What cannot be used ends with the documented exit code where argparse has 2.
    """

    def __init__(self, about: str | None) -> None:
        summary, _, teaching = (about or "").partition("\n\n")
        super().__init__(description=summary, epilog=teaching, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_CODES["refused"], f"error: {message}\n")


def exit_code_of(act: Callable[[], int]) -> int:
    """What `act` returns; errors of ours become one line and their exit code."""
    try:
        return act()
    except DreamfoundryError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CODES["refused" if isinstance(error, InputError) else "failed"]
