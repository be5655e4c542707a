"""A day on a borrowed GPU machine: each block has its share of the time, and nothing that was measured is lost."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dreamfoundry.evaluation.gpu_day.block import BLOCKS
from dreamfoundry.host.child_process import package_environment

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "infra" / "gpu" / "day.py"
STUB = ROOT / "tests" / "support" / "stub_block.py"

RUN = """
import importlib.util, os, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("day", {program!r})
sys.modules["day"] = day = importlib.util.module_from_spec(spec)
spec.loader.exec_module(day)
task = {{"device": "cpu", "is_tiny": True, "parent": os.getpid(), "hangs": {hangs!r}, "views": {views!r}}}
ended = day.Day(Path({out!r}), {blocks!r}, task, dict(os.environ), time.time() + {seconds!r}, [{stub!r}]).run()
raise SystemExit(0 if ended else 1)
"""


def start(out: Path, blocks: list[str], seconds: float, hangs: str = "", views: str = "") -> subprocess.Popen[bytes]:
    """A day in a process of its own, with stubs as its blocks."""
    out.mkdir(parents=True, exist_ok=True)
    names = {"program": str(PROGRAM), "stub": str(STUB), "out": str(out), "blocks": blocks}
    program = RUN.format(**names, seconds=seconds, hangs=hangs, views=views)
    return subprocess.Popen([sys.executable, "-c", program], env=package_environment())


def blocks_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "figures.json").read_text())["blocks"]


def wait_for_case(out: Path, block: str) -> dict[str, Any]:
    """The first figures of a block, as soon as they are in the file."""
    for _ in range(600):
        if (out / "figures.json").exists() and (cases := blocks_of(out).get(block, {}).get("cases")):
            return cases["first"]
        time.sleep(0.05)
    raise AssertionError(f"{block} wrote nothing")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_block_that_hangs_is_killed_when_its_share_is_over_and_the_next_one_has_its_own(tmp_path: Path) -> None:
    assert start(tmp_path, ["kernels", "prior"], seconds=9.0).wait(60) == 1

    blocks = blocks_of(tmp_path)
    assert [(name, block["state"]) for name, block in blocks.items()] == [
        ("kernels", "out of time"),
        ("prior", "out of time"),
    ]
    assert [list(block["cases"]) for block in blocks.values()] == [["first"], ["first"]], "half a line is none"
    assert not any(is_alive(block["cases"]["first"]["pid"]) for block in blocks.values())
    assert sum(block["seconds"] for block in blocks.values()) == pytest.approx(9.0, abs=1.5)


def test_what_a_block_does_not_use_is_shared_by_those_after_it(tmp_path: Path) -> None:
    start(tmp_path, ["facts", "table"], seconds=120.0).wait(60)

    seconds, blocks = day_module().BLOCKS, blocks_of(tmp_path)
    share = seconds["facts"] / (seconds["facts"] + seconds["table"])
    assert blocks["facts"]["limit_s"] == pytest.approx(120.0 * share, abs=1.0)
    assert blocks["table"]["limit_s"] == pytest.approx(120.0 - blocks["facts"]["seconds"], abs=2.0)


def test_a_block_that_fails_goes_on_without_recorded_graphs_and_keeps_its_figures(tmp_path: Path) -> None:
    assert start(tmp_path, ["step"], seconds=60.0).wait(60) == 0

    step = blocks_of(tmp_path)["step"]
    assert step["state"] == "ended"
    first, second = step["cases"]["first"], step["cases"]["second"]
    assert (first["run"]["engine"], second["run"]["engine"]) == ("graphs", "eager")
    assert second["engine"] == "eager"
    assert first["pid"] != second["pid"], "the first case was not measured again"
    assert "an illegal memory access" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("block", BLOCKS)
def test_the_figures_of_a_day_that_is_killed_in_any_block_are_whole(block: str, tmp_path: Path) -> None:
    """The blocks before it too, and its process ends with the day."""
    before = ["facts"] if block != "facts" else []
    day = start(tmp_path, [*before, block], seconds=300.0, hangs=block)
    pid = wait_for_case(tmp_path, block)["pid"]
    day.kill()
    day.wait()

    blocks = blocks_of(tmp_path)
    assert [list(blocks[name]["cases"]) for name in before] == [["first", "second"]] * len(before)
    assert blocks[block]["cases"]["first"]["pid"] == pid
    assert len(list(tmp_path.iterdir())) <= 3
    for _ in range(100):
        if not is_alive(pid):
            return
        time.sleep(0.05)
    raise AssertionError("the block goes on by itself")


def test_a_second_command_adds_its_blocks_to_the_figures_of_the_first(tmp_path: Path) -> None:
    start(tmp_path, ["facts"], seconds=30.0).wait(60)
    start(tmp_path, ["table"], seconds=30.0).wait(60)
    assert list(blocks_of(tmp_path)) == ["facts", "table"]


def test_a_second_command_for_a_block_replaces_a_figure_only_by_a_newer_one(tmp_path: Path) -> None:
    start(tmp_path, ["facts"], seconds=30.0).wait(60)
    before = blocks_of(tmp_path)["facts"]["cases"]
    start(tmp_path, ["facts"], seconds=30.0, views="left out").wait(60)
    assert blocks_of(tmp_path)["facts"]["cases"] == before

    assert start(tmp_path, ["facts"], seconds=5.0, hangs="facts").wait(60) == 1
    after = blocks_of(tmp_path)["facts"]["cases"]
    assert after["first"]["pid"] != before["first"]["pid"]
    assert after["second"] == before["second"]


@pytest.mark.parametrize("damaged", ["", '{"blocks": {"facts": {"cases": {"first": ', "[]", '{"blocks": {"facts": 3}}'])
def test_figures_that_are_damaged_are_moved_aside_and_the_day_goes_on(damaged: str, tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text(damaged)
    assert start(tmp_path, ["facts"], seconds=30.0).wait(60) == 0

    assert list(blocks_of(tmp_path)["facts"]["cases"]) == ["first", "second"]
    assert (tmp_path / "figures.json.damaged").read_text() == damaged


def day_module() -> Any:
    spec = importlib.util.spec_from_file_location("day", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["day"] = module
    spec.loader.exec_module(module)
    return module


def test_two_commands_fit_into_fourteen_minutes_and_every_block_has_a_program() -> None:
    day = day_module()
    assert list(day.BLOCKS) == list(BLOCKS)
    assert [one for group in day.GROUPS.values() for one in group] == list(BLOCKS)
    assert sum(day.BLOCKS[name] for name in day.GROUPS["A"]) <= 330
    start_and_copies_s = 150
    assert sum(day.BLOCKS.values()) + start_and_copies_s <= 840


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the folder OUT"),
        (["out", "--blocks", "fact"], "invalid choice: 'fact'"),
        (["out", "--blocks", "training"], "--views is missing"),
        (["out", "--views", "absent.npz"], "--views absent.npz is not there"),
        (["out", "--views", "file"], "--views file is damaged or no file of views"),
        (["out", "--blocks", "facts", "--wheels", "absent"], "--wheels absent is no folder with a .whl"),
        (["file", "--blocks", "facts"], "OUT file cannot be written (File exists)"),
        (["file/out", "--blocks", "facts"], "OUT file/out cannot be written (Not a directory)"),
        (["out", "--seconds", "0"], "'0' is no number above 0"),
        (["out", "--seconds", "nan"], "'nan' is no number above 0"),
        (["out", "--seconds", "inf"], "'inf' is no number above 0"),
    ],
)
def test_a_command_line_that_cannot_be_used_is_refused_at_once(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, str(PROGRAM), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env=dict(os.environ), cwd=tmp_path, check=False, timeout=60
    )
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_wheel_that_cannot_be_installed_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad-1.0-py3-none-any.whl").write_text("half")
    assert Path(day_module().site_of(tmp_path)).is_dir()

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("day.py: bad-1.0-py3-none-any.whl is not installed: ERROR: ")


def test_the_tests_for_a_gpu_are_collected_without_plugins() -> None:
    folder = ROOT / "tests" / "gpu"
    options = ["-c", str(folder / "pytest.ini"), "--rootdir", str(folder), "--confcutdir", str(folder)]
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:timeout", "--collect-only", "-q"]
    files = [str(folder / name) for name in ("test_device_memory.py", "test_cuda_prior.py")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, env=package_environment(), check=False)
    assert done.returncode == 0, done.stdout


def rehearse(out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(PROGRAM), str(out), "--device", "cpu", "--tiny", *options]
    return subprocess.Popen(command, env=package_environment())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_rehearsal_measures_something_in_every_block_and_leaves_few_and_small_files(tmp_path: Path) -> None:
    rehearse(tmp_path, "--seconds", "600").wait()

    blocks = blocks_of(tmp_path)
    assert list(blocks) == list(BLOCKS)
    assert all(block["cases"] for block in blocks.values())
    assert not [name for name, block in blocks.items() if block["state"] == "failed"]
    files = list(tmp_path.iterdir())
    assert len(files) <= 8
    assert all(file.is_file() and file.stat().st_size <= 16 * 2**20 for file in files)


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_a_rehearsal_that_is_killed_in_a_block_keeps_its_first_figures(block: str, tmp_path: Path) -> None:
    day = rehearse(tmp_path, "--blocks", block, "--seconds", "250")
    for _ in range(2500):
        if (tmp_path / "figures.json").exists() and blocks_of(tmp_path)[block]["cases"]:
            break
        time.sleep(0.1)
    day.kill()
    day.wait()

    left = blocks_of(tmp_path)[block]
    assert left["state"] in ("running", "ended"), "a quick block may have been done"
    assert left["cases"]
