"""jobs/make_manifest.py: text, CSV and JSONL become a manifest that a run accepts, or are refused."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import dreamfoundry
from dreamfoundry.manifest.reader import read_prompts, scan
from dreamfoundry.records import Prompt

ROOT = Path(__file__).parents[2]
SOURCE_ROOT = str(Path(dreamfoundry.__file__).parents[1])


def make(source: Path, manifest: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "jobs" / "make_manifest.py"), str(source), str(manifest)]
    return subprocess.run(command, env={"PYTHONPATH": SOURCE_ROOT}, capture_output=True, text=True)


def made(tmp_path: Path, name: str, content: str) -> list[Prompt]:
    """The prompts of the manifest that the program makes of `content`."""
    source, manifest = tmp_path / name, tmp_path / "out" / "manifest.parquet"
    source.write_text(content, encoding="utf-8")
    done = make(source, manifest)
    assert (done.returncode, done.stderr) == (0, "")
    report = scan(manifest)
    assert done.stdout == f"{manifest}: {report.num_prompts} prompts, {manifest.stat().st_size} bytes\n"
    assert list(manifest.parent.iterdir()) == [manifest]
    return list(read_prompts(manifest, report.skip_rows))


def refused(tmp_path: Path, name: str, content: bytes) -> str:
    """The message with which the program refuses `content`."""
    source, manifest = tmp_path / name, tmp_path / "manifest.parquet"
    source.write_bytes(content)
    done = make(source, manifest)
    assert (done.returncode, done.stdout) == (4, "")
    assert not manifest.exists()
    assert "Traceback" not in done.stderr
    return done.stderr


def test_lines_of_text_become_prompts_with_ids(tmp_path: Path) -> None:
    assert made(tmp_path, "prompts.txt", "# toys\na red mushroom\n\n  a Blue rocket \n") == [
        Prompt("0001-a_red_mushroom", "a red mushroom"),
        Prompt("0002-a_blue_rocket", "a Blue rocket"),
    ]


def test_csv_columns_are_typed(tmp_path: Path) -> None:
    content = 'prompt_id,prompt,seed,tags,target_height_m\nchair,"a red, old chair",7,wood; old,0.9\n,a mug,,,\n'

    assert made(tmp_path, "prompts.csv", content) == [
        Prompt("chair", "a red, old chair", seed=7, tags=("wood", "old"), target_height_m=0.9),
        Prompt("0002-a_mug", "a mug"),
    ]


def test_jsonl_may_hold_objects(tmp_path: Path) -> None:
    content = (
        '{"prompt": "a caf\u00e9 \u2028 table", "recipe_overrides": {"optimize.num_steps": 200}}\n'
        '{"prompt": "a mug", "prompt_id": "mug", "view_prompts": {"back": "the back of a mug"}, "tags": ["cup"]}\n'
    )

    assert made(tmp_path, "prompts.jsonl", content) == [
        Prompt("0001-a_cafe_table", "a café table", overrides={"optimize.num_steps": 200}),
        Prompt("mug", "a mug", tags=("cup",), view_texts={"back": "the back of a mug"}),
    ]


def test_the_file_has_small_row_groups_and_page_checksums(tmp_path: Path) -> None:
    made(tmp_path, "prompts.txt", "".join(f"a chair with {number} legs\n" for number in range(2001)))
    path = tmp_path / "out" / "manifest.parquet"
    metadata = pq.read_metadata(path)

    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [2000, 1]
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    chunk = metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(data)
    assert scan(path).num_lost_rows == 2000


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("prompts.txt", b"# nothing\n", "no prompts in it"),
        ("prompts.txt", b"a mug\na \xff mug\n", "must be UTF-8 (byte 8 is not)"),
        ("prompts.txt", b"a mug\n\na mug\n", "lines 1 and 3 both have prompt 'a mug'"),
        ("prompts.txt", b"a mug\n" + b"x" * 1001 + b"\n", "line 2: row 1"),
        ("prompts.csv", b"prompt_id,prompt\na,a mug\na,a car\n", "lines 2 and 3 both have prompt_id 'a'"),
        ("prompts.csv", b"prompt,sed\na mug,7\n", "line 2: unknown column 'sed'; known are prompt_id, prompt"),
        ("prompts.csv", b"prompt,seed\na mug,x\n", "line 2: seed = 'x': must be a number"),
        ("prompts.csv", b"prompt\na mug,7\n", "line 2: more values than the header has columns"),
        ("prompts.jsonl", b'{"prompt": "a mug"}\n{"prompt"\n', "line 2: not valid JSON"),
        ("prompts.jsonl", b'"a mug"\n', "line 1: must be an object"),
        ("prompts.jsonl", b'{"prompt": "a mug", "seed": "7"}\n', "column 'seed' must be int64"),
        ("prompts.jsonl", b'{"prompt_id": "x"}\n', "prompt = None: must not be empty"),
    ],
)
def test_what_a_run_would_refuse_is_refused_here(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    assert reason in refused(tmp_path, name, content)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    done = make(tmp_path / "absent.txt", tmp_path / "manifest.parquet")

    assert done.returncode == 4
    assert "absent.txt: no such file" in done.stderr


def test_help_names_every_column() -> None:
    command = [sys.executable, str(ROOT / "jobs" / "make_manifest.py"), "--help"]
    shown = subprocess.run(command, env={"PYTHONPATH": SOURCE_ROOT}, capture_output=True, text=True, check=True).stdout

    for word in ("prompt_id", "negative_prompt", "recipe_overrides", "JSONL", "0  written", "4  refused"):
        assert word in shown


def test_a_manifest_ten_times_as_long_takes_little_more_memory(tmp_path: Path) -> None:
    for count in (2_000, 20_000):
        (tmp_path / f"{count}.txt").write_text("".join(f"a chair with {number} legs\n" for number in range(count)))
        make(tmp_path / f"{count}.txt", tmp_path / f"{count}.parquet")
    program = (
        "import resource; from pathlib import Path; from dreamfoundry.manifest.reader import read_prompts, scan\n"
        "for count in (2_000, 20_000):\n"
        f"    path = Path({str(tmp_path)!r}) / f'{{count}}.parquet'\n"
        "    assert sum(1 for _ in read_prompts(path, scan(path).skip_rows)) == count\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, env={"PYTHONPATH": SOURCE_ROOT}, capture_output=True, text=True, check=True).stdout
    short_kib, long_kib = map(int, shown.split())

    assert long_kib - short_kib < 20 * 1024
