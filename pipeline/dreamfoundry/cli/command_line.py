"""Help that teaches, kinds of flags, and documented exit codes: shared by all commands."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Protocol, runtime_checkable

from cyclopts import App, Parameter

from dreamfoundry.errors import DreamfoundryError, InputError, Stopped
from dreamfoundry.run.exit_codes import EXIT_CODES

HELP_FORMAT: Literal["plaintext"] = "plaintext"
"""Docstrings are shown as they are written, brackets and indented examples included."""

DEFAULTS = Parameter(negative=())
"""No flag gets a --no-flag or --empty-flag beside it."""

Flag = Annotated[bool, Parameter(show_default=False)]
"""On when given, off by default."""

Repeated = Annotated[list[str], Parameter(show_default=False)]
"""One value each time; the flag can be repeated."""


def _at_least_one(kind: object, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError("must be at least 1")


Count = Annotated[int | None, Parameter(validator=_at_least_one, show_default=False)]
"""At least 1; None lets the program choose."""

Device = Annotated[str, Parameter(help='"cpu" or "cuda": one GPU per distill worker')]

Engine = Annotated[
    Literal["eager", "graphs", "compiled"],
    Parameter(help="how a GPU computes the prior; compiling takes minutes per worker"),
]

LibraryUrl = Annotated[str, Parameter(help="a directory or s3://bucket/prefix")]

RecipeName = Annotated[str, Parameter(help="a bundled preset or a TOML file")]

RecipeChanges = Annotated[
    Repeated, Parameter(name="--set", metavar="KEY=VALUE", help="change one recipe key; can be repeated")
]
"""A parameter of this kind is the flag --set."""


@runtime_checkable
class Stream(Protocol):
    """A text stream that may be a terminal."""

    def isatty(self) -> bool: ...


def command_app(name: str, about: str | None) -> App:
    """The app of a command whose module has the docstring `about`.

    Its examples come first, then usage, first line and flags; the rest (prose, exit codes) is below them.
    """
    summary, *teaching = (about or "").strip().split("\n\n")
    num_first = 1 if teaching and teaching[0].startswith("example") else 0
    return App(
        name=name,
        help_prologue="".join(teaching[:num_first]),
        help=summary,
        help_epilogue=flowing("\n\n".join(teaching[num_first:])),
        help_format=HELP_FORMAT,
        help_formatter=help_formatter(sys.stdout),
        default_parameter=DEFAULTS,
    )


def flowing(text: str) -> str:
    """`text` with the lines of each paragraph joined, for any width; indented lines stay as they are."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)


def help_formatter(stream: Stream) -> Literal["default", "plain"]:
    """Panels on a terminal, plain lines elsewhere."""
    return "default" if stream.isatty() else "plain"


def report_errors(act: Callable[[], int]) -> int:
    """The exit code of `act`; our errors become one line on standard error, Ctrl-C the code of a stop."""
    try:
        return act()
    except Stopped as stopped:
        print(f"stopped {stopped}; run the same line again", file=sys.stderr)
        return EXIT_CODES["drained"]
    except DreamfoundryError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODES["refused" if isinstance(error, InputError) else "failed"]
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_CODES["drained"]


def typed_command() -> str:
    """The command line of this process as somebody would type it again."""
    program = Path(sys.argv[0])
    words = ["python", f"jobs/{program.name}"] if program.parent.name == "jobs" else ["dreamfoundry"]
    return shlex.join([*words, *sys.argv[1:]])
