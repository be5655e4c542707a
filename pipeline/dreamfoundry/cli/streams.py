"""Standard output and standard error as a command finds them: closed, full, gone, or of an encoding without signs."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

_IN_ASCII = {"…": "...", "·": "|", "—": "-", "–": "-", "→": "->", "≥": ">=", "×": "x"}

OUTPUT = "standard output"
"""The file name of errors of that stream."""

PLAIN = "dreamfoundry-plain"
"""Name of the error handler of encodings that writes signs in ASCII and other letters as escapes."""


def open_streams() -> None:
    """Let this process write whatever happens: call once, before anything is written.

    A closed stream leads nowhere. A letter that the encoding of a stream lacks is an escape. Standard error never
    fails: a terminal that has gone must not end a night of work. Standard output fails with its name, `OUTPUT`.
    """
    codecs.register_error(PLAIN, _in_ascii)
    # None: a shell has closed it (>&-)
    if sys.stdout is None:
        sys.stdout = _nowhere()
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _as(_Named, sys.stdout)
    if sys.stderr is None:
        sys.stderr = _nowhere()
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _as(_Unfailing, sys.stderr)


def silence_output() -> None:
    """Let standard output lead nowhere, with all that it still holds: Python would try it again at the end."""
    with suppress(OSError):  # that of a test has no number
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # as long as the process


def _as(kind: type[io.TextIOWrapper], stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream as another class, with the error handler `PLAIN`."""
    return kind(
        stream.buffer,
        stream.encoding,
        PLAIN,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Named(io.TextIOWrapper):
    """Text whose errors say that they are those of standard output."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            error.filename = OUTPUT
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            error.filename = OUTPUT
            raise


class _Unfailing(io.TextIOWrapper):
    """Text of which nobody can be told that it did not arrive."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """The error handler `PLAIN`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    plain = (_IN_ASCII.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in letters)
    return "".join(plain), error.end
