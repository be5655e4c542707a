"""`make lint` refuses code that is too big to read in one breath."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SOUND = '"""Adds."""\n\n\ndef add(a: int, b: int) -> int:\n    return a + b\n'


def lint(path: Path, source: str) -> subprocess.CompletedProcess[str]:
    path.write_text(source, encoding="utf-8")
    return subprocess.run([sys.executable, ROOT / "infra" / "budgets.py", path], capture_output=True, text=True)


def function(num_lines: int, parameters: str = "") -> str:
    body = "\n".join(f"    a{index} = {index}" for index in range(num_lines))
    return f'"""A module."""\n\n\ndef planted({parameters}):\n    """Plant."""\n{body}\n'


def test_a_small_module_passes(tmp_path: Path) -> None:
    assert lint(tmp_path / "sound.py", SOUND).returncode == 0


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (function(1, ", ".join("abcdefghi")), "planted: 9 parameters; at most 8"),
        (function(61), "planted: 61 lines; at most 60"),
        (function(20), "planted: 20 lines without a paragraph"),
        ('"""A module."""\n' + "\n" * 300, "301 lines; at most 300"),
        ('"""What a module is."""\n', "a docstring opens with a question word"),
    ],
    ids=["parameters", "long function", "no paragraph", "long file", "question"],
)
def test_what_exceeds_a_budget_is_named(source: str, sentence: str, tmp_path: Path) -> None:
    done = lint(tmp_path / "planted.py", source)

    assert done.returncode == 1
    assert sentence in done.stdout


def test_a_blank_line_or_a_comment_makes_a_paragraph(tmp_path: Path) -> None:
    lines = function(20).splitlines()

    assert lint(tmp_path / "blank.py", "\n".join([*lines[:10], "", *lines[10:]])).returncode == 0
    assert lint(tmp_path / "comment.py", "\n".join([*lines[:10], "    # why", *lines[10:]])).returncode == 0
