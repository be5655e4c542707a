"""Help that teaches, and documented exit codes: shared by all commands."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from cyclopts import App

from dreamfoundry.cli.flags import DEFAULTS
from dreamfoundry.cli.streams import OUTPUT, silence_output
from dreamfoundry.errors import DreamfoundryError, InputError, Stopped
from dreamfoundry.run.exit_codes import EXIT_CODES

HELP_FORMAT: Literal["plaintext"] = "plaintext"
"""Docstrings are shown as they are written, brackets and indented examples included."""


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
        code = act()
        sys.stdout.flush()  # here a full disk can still be told; at the end of the process it could not
        return code
    except Stopped as stopped:
        print(f"stopped {stopped}; run the same line again", file=sys.stderr)
        return EXIT_CODES["drained"]
    except BrokenPipeError:
        silence_output()  # the reader has gone, as `head` does: nobody is left to be told
        return EXIT_CODES["complete"]
    except OSError as error:
        return _report_system_error(error)
    except DreamfoundryError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODES["refused" if isinstance(error, InputError) else "failed"]
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_CODES["drained"]


def _report_system_error(error: OSError) -> int:
    """The exit code of what the system refused: a path of the caller, or room for the output; else it is a bug."""
    if error.filename == OUTPUT:
        silence_output()
        print(f"error: standard output: {error.strerror}; send it elsewhere", file=sys.stderr)
        return EXIT_CODES["failed"]
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
        print(f"error: {error.strerror}: free some space and run the same line again", file=sys.stderr)
        return EXIT_CODES["failed"]
    if not _is_named(error.filename):
        raise error
    print(f"error: {error.filename}: {error.strerror}; name another path", file=sys.stderr)
    return EXIT_CODES["refused"]


def _is_named(filename: object) -> bool:
    """True if `filename` is, or lies in, a path of the command line."""
    path = os.path.abspath(str(filename)) if filename else ""
    words = [word.partition("=")[2] or word for word in sys.argv[1:] if word]
    return any(path == named or path.startswith(f"{named}{os.sep}") for named in map(os.path.abspath, words))


def typed_command() -> str:
    """The command line of this process as somebody would type it again."""
    program = Path(sys.argv[0])
    words = ["python", f"jobs/{program.name}"] if program.parent.name == "jobs" else ["dreamfoundry"]
    return shlex.join([*words, *sys.argv[1:]])
