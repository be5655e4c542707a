"""Command lines that cannot be meant: one sentence and exit code 4, whatever the command; never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BAD_VALUES = [
    ("preview a --device tpu", '"cpu" or "cuda"'),
    ("preview a --seed -1", "--seed"),
    ("preview a --seed 1.5", "whole number"),
    ("preview a --seed 9223372036854775808", "must be from 0 to 9223372036854775807"),
    ("preview a --seed NINES", "at most 20 digits"),
    ("preview a red mushroom", 'put into quotes: "a red mushroom"'),
    ("preview --seed 3 a red mushroom", 'put into quotes: "a red mushroom"'),
    ("preview", "error: PROMPT is missing\ntry: dreamfoundry preview --help"),
    ("build m.parquet", "error: LIBRARY is missing\ntry: dreamfoundry build --help"),
    ("preview a --seed", "--seed"),
    ("mirror nowhere s3://bucket/prior", "nowhere: no such folder"),
    ("mirror FILE s3://bucket/prior", "file: no such folder"),
    ("status one two", 'put into quotes: "one two"'),
    ("build m.parquet lib more", "'more': more words than this command takes"),
    ("status .", "no library, but 'file' is there; is the name right?"),
    ("verify . --rebuild", "no run has written there; is the name right?"),
    ("verify FOLDER --rebuild", "no run has written there; is the name right?"),
    ("build m.parquet lib --slots 1.9", "whole number"),
    ("build m.parquet lib --retry-quarantined emtpy", "must be one of all, diverged, empty"),
    ("build m.parquet lib --profile prop", "must be one of preview, mobile"),
    ("build m.parquet lib --profile nope.toml", "no such file"),
    ("build m.parquet lib --profile FILE/x.toml", "Not a directory"),
    ("preview a --profile FOLDER/", "folder"),
    ("status nowhere", "no such directory"),
    ("verify nowhere", "no such directory"),
    ("gc nowhere", "no such directory"),
    ("collect nowhere out", "no such directory"),
    ("collect FOLDER FILE", "is a file"),
    ("collect FOLDER out", "no published asset"),
    ("collect FOLDER out --engine maya", "--engine"),
    ("preview a --output FILE/x", "is a file"),
    ("preview a --output LONG", "too long"),
    ("build m.parquet lib --device tpu", '"cpu" or "cuda"'),
    ("build m.parquet lib --log-file FOLDER", "is a folder"),
    ("build m.parquet lib --log-file FILE/x", "is a file"),
    ("build m.parquet lib --price -1", "at least 0"),
    ("build m.parquet lib --price nan", "at least 0"),
    ("build m.parquet lib --dry-run --list FOLDER", "is a folder"),
    ("preflight --device tpu", '"cpu" or "cuda"'),
    ("dev ablation paper --prompts nope.txt", "no such file"),
    ("dev ablation paper --prompts FOLDER", "is a folder"),
    ("dev ablation paper --slots 0", "at least 1"),
    ("dev ablation paper --processes -1", "at least 1"),
    ("dev ablation paper --output FILE/x", "is a file"),
    ("dev bench --repeats 0", "at least 1"),
    ("dev bench --steps -1", "at least 1"),
    ("dev bench --window nan", "at least 0"),
    ("dev bench --json FILE/x", "is a file"),
    ("dev bench-child measure --recipe toybox --device tpu --profile preview", '"cpu" or "cuda"'),
    ("dev bench-pictures nope.glb", "no such file"),
    ("dev bench-pictures FOLDER", "is a folder"),
    ("dev bench-quality --prompts 0", "at least 1"),
    ("dev bench-quality --output FILE", "is a file"),
    ("dev bench-vae --device tpu", '"cpu" or "cuda"'),
    ("dev bench-vae --picture-px 0", "at least 1"),
    ("dev check lib --markdown FOLDER", "is a folder"),
    ("dev check lib --json FILE/x", "is a file"),
    ("dev evaluate --prompts nope.txt", "no such file"),
    ("dev evaluate --seeds 0", "at least 1"),
    ("dev train --picture-px 0", "at least 1"),
    ("dev train --views-per-kind -1", "at least 1"),
    ("dev train --noisiest-share 2", "--noisiest-share"),
    ("dev train --seed -1", "must be from 0 to 9223372036854775807"),
    ("dev train --seed 9223372036854775808", "must be from 0 to 9223372036854775807"),
    ("dev train --export-only", "out/toybox/checkpoint.pt: no such file; train first"),
    ("dev train --export-only --output FOLDER", "folder/checkpoint.pt: no such file; train first"),
    ("dev train --start-from FOLDER", "no weights there"),
    ("dev train --start-from nowhere", "no weights there"),
]


def run(command: str, folder: Path, shell: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A command line in `folder`, where FILE is a file and FOLDER a folder; with `shell` behind it."""
    (folder / "file").write_text("x")
    (folder / "folder").mkdir(exist_ok=True)
    words = (
        command.replace("FILE", "file")
        .replace("FOLDER", "folder")
        .replace("LONG", "x" * 300)
        .replace("NINES", "9" * 5000)
    )
    line = f"{sys.executable} -m dreamfoundry {words} {shell}"
    environment = {**os.environ, **variables}
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        errors="backslashreplace",
        cwd=folder,
        env=environment,
        timeout=120,
    )


@pytest.mark.parametrize(("command", "sentence"), BAD_VALUES, ids=[command for command, _ in BAD_VALUES])
def test_a_value_that_cannot_be_meant_is_refused_before_anything_starts(
    command: str, sentence: str, tmp_path: Path
) -> None:
    done = run(command, tmp_path)

    assert done.returncode == 4, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL_S3": "notaurl", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        {"AWS_PROFILE": "nope"},
        {"AWS_DEFAULT_REGION": "bad region", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
    ],
    ids=["endpoint", "profile", "region"],
)
def test_variables_of_s3_that_cannot_be_meant_are_refused(variables: dict[str, str], tmp_path: Path) -> None:
    done = run("status s3://bucket/library", tmp_path, **variables)

    assert done.returncode == 4, done.stderr
    assert "S3 is not set up" in done.stderr


def test_a_store_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}

    done = run("status s3://bucket/library", tmp_path, AWS_ENDPOINT_URL_S3="http://127.0.0.1:9", **keys)

    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error"]


def test_an_address_of_a_head_that_is_none_says_so(tmp_path: Path) -> None:
    done = run("submit --address garbage -- true", tmp_path)

    assert done.returncode == 1
    assert "no Ray head answers at garbage" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_is_told_and_has_the_exit_code_of_a_stop(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dreamfoundry", "preview", "a red mushroom", "--output", str(tmp_path / "out")]

    def hear() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell lets what runs in the background ignore it

    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, preexec_fn=hear) as process:
        assert process.stderr is not None
        process.stderr.readline()  # it has begun
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert process.returncode == 75
    assert rest.splitlines()[-1] == "stopped"


@pytest.mark.parametrize("command", ["status library", "--help", "build --help", "--version", "make p.txt m.parquet"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_for_which_there_is_no_room_is_one_sentence(command: str, unbuffered: str, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "p.txt").write_text("a mug")

    done = run(command, tmp_path, "> /dev/full", PYTHONUNBUFFERED=unbuffered)

    assert done.returncode == 1
    assert done.stderr == "error: standard output: No space left on device; send it elsewhere\n"


@pytest.mark.parametrize(("command", "code"), [("status library", 0), ("status nowhere", 4), ("nothing", 4)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_errors_for_which_there_is_no_room_keep_their_exit_code(
    command: str, code: int, unbuffered: str, tmp_path: Path
) -> None:
    (tmp_path / "library").mkdir()

    assert run(command, tmp_path, "2> /dev/full", PYTHONUNBUFFERED=unbuffered).returncode == code


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "latin-1", "locale"],
)
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("--help", 0),
        ("build --help", 0),
        ("submit --help", 0),
        ("preflight --help", 0),
        ("make p.txt m.parquet", 4),
        ("status caf\u00e9", 4),
        ("preview caf\u00e9\u6905\u5b50", 4),
    ],
)
def test_a_terminal_without_our_letters_gets_escapes(
    command: str, code: int, variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "p.txt").write_bytes("a caf\u00e9 \U0001f680\n\u6905\u5b50\u202e\n".encode())

    done = run(command, tmp_path, **variables)

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "\ufffd" not in done.stdout + done.stderr
    if command.startswith("preview"):
        assert "was never trained on 'caf\\xe9\\u6905\\u5b50'" in done.stderr


@pytest.mark.parametrize("home", ["file", "file/below", "/dev/null"])
def test_completion_needs_a_home(home: str, tmp_path: Path) -> None:
    done = run("--install-completion --shell bash", tmp_path, HOME=home)

    assert done.returncode == 4, done.stderr
    assert f"HOME is {home!r}: set it to a folder that you may write to" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["| head -1", ">&-", "2>&-", ">&- 2>&-"])
def test_output_that_nobody_reads_is_no_fault(shell: str, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()

    done = run("status library", tmp_path, shell)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    line = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -I -m dreamfoundry status x"

    # Python itself needs a current folder for relative entries of PYTHONPATH
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120
    )

    assert done.returncode == 4
    assert "change to another one" in done.stderr
