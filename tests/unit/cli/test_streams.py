"""Text of a command arrives, or an error says by name that it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python(program: str, shell: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A program after `open_streams`, with `shell` behind it."""
    start = "import sys; from dreamfoundry.cli.streams import *; open_streams(); "
    line = f'"{sys.executable}" -c "{start}{program}" {shell}'
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=variables, check=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a … b", "a ... b"),
        ("1 · 2", "1 | 2"),
        ("caf\u00e9", "caf\\xe9"),
        ("\U0001f680", "\\U0001f680"),
        ("plain", "plain"),
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_an_encoding_lacks_is_written_in_ascii(text: str, shown: str, stream: str) -> None:
    done = python(f"print({text!a}, file=sys.{stream})", PYTHONIOENCODING="ascii")

    assert getattr(done, stream) == f"{shown}\n"


def test_what_an_encoding_has_is_left_alone() -> None:
    assert python(f"print({'a … é'!a})", PYTHONIOENCODING="utf-8").stdout == "a … é\n"


@pytest.mark.parametrize("number", ["1", "2"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_stream_leads_nowhere(number: str, unbuffered: str) -> None:
    done = python("print(1); print(2, file=sys.stderr)", f"{number}>&-", PYTHONUNBUFFERED=unbuffered)

    assert done.returncode == 0
    assert (done.stdout, done.stderr) == (("", "2\n") if number == "1" else ("1\n", ""))


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_error_never_fails(unbuffered: str) -> None:
    program = "[print(1, file=sys.stderr, flush=True) for _ in range(3)]; print(2)"

    done = python(program, "2> /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stdout) == (0, "2\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_fails_under_its_name_and_can_be_silenced(unbuffered: str) -> None:
    program = """
try:
    print(1, flush=True)
except OSError as error:
    silence_output()
    print(error.filename, file=sys.stderr)
print(2)
"""
    done = python(program, "> /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (0, "standard output\n")
