"""All commands share help that flows, and one meaning of errors."""

from __future__ import annotations

from typing import get_args

import pytest

from dreamfoundry.cli.command_line import flowing, report_errors
from dreamfoundry.cli.flags import Engine
from dreamfoundry.diffusion.weights import PriorEngine
from dreamfoundry.errors import ConfigError, StoreUnavailable


def test_paragraphs_flow_and_indented_lines_stay() -> None:
    text = "One line\nand its rest.\n\nexit codes:\n   0  done\n   1  not"
    assert flowing(text) == "One line and its rest.\n\nexit codes:\n   0  done\n   1  not"


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("no such key"), 4), (StoreUnavailable("no answer"), 1), (KeyboardInterrupt(), 75)],
    ids=lambda value: type(value).__name__,
)
def test_our_errors_are_one_line_and_their_exit_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    assert report_errors(fail) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_a_bug_is_not_hidden() -> None:
    def fail() -> int:
        raise KeyError("nobody thought of this")

    with pytest.raises(KeyError):
        report_errors(fail)


def test_the_engines_of_the_flag_are_those_of_the_prior() -> None:
    assert get_args(get_args(Engine)[0]) == get_args(PriorEngine)
