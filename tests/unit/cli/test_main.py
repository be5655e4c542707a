"""The command `dreamfoundry`: help without heavy imports, one table of exit codes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dreamfoundry import cli
from dreamfoundry.cli.main import COMMANDS, DEV_COMMANDS, EXIT_TABLE, run
from dreamfoundry.run.exit_codes import EXIT_CODES

FOLDER = Path(cli.__file__).parent
HEAVY = "{'torch', 'ray', 'pyarrow', 'numpy', 'diffusers', 'transformers', 'boto3'}"

CALLS = [[name] for name in COMMANDS] + [["dev", name.replace("_", "-")] for name in DEV_COMMANDS]


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_a_bad_flag_ends_with_4_and_names_the_help(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*call, "--no-such-flag"]) == 4
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.endswith(f"try: dreamfoundry {' '.join(call)} --help\n")


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_the_help_of_every_command_teaches_by_examples_and_exit_codes(
    call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*call, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(("example:\n", "examples:\n"))
    assert "exit codes:" in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_module_says(name: str) -> None:
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
    assert text.splitlines()[0] == COMMANDS[name]


def test_every_command_is_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name}: " not in printed] == []
    assert "--install-completion" in printed


def test_a_word_that_is_no_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["biuld"]) == 4
    assert "build" in capsys.readouterr().err


def test_the_table_names_every_exit_code_once() -> None:
    numbers = [int(line.split()[0]) for line in EXIT_TABLE.splitlines()[1:]]
    assert numbers == sorted(set(EXIT_CODES.values()))


@pytest.mark.parametrize("call", ["--help", "build --help", "preview --help"])
def test_help_loads_nothing_heavy(call: str) -> None:
    program = (
        f"import sys; from dreamfoundry.cli.main import run; code = run({call.split()!r}); "
        f"print(code, *{{name.partition('.')[0] for name in sys.modules}} & {HEAVY})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"


def test_help_comes_within_half_a_second_of_processor_time() -> None:
    def cpu_s() -> float:
        command = "from dreamfoundry.cli.main import run; run(['--help'])"
        program = f"import time; {command}; print('\\n' + str(time.process_time()))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return float(done.stdout.splitlines()[-1])

    assert min(cpu_s() for _ in range(3)) < 0.5


def test_the_module_is_a_program_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dreamfoundry", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.count(".") == 2
