"""jobs/make_manifest.py: sources of prompts become a manifest that a run accepts, or are refused with all faults."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import dreamfoundry
from dreamfoundry.manifest.reader import read_prompts, scan
from dreamfoundry.object_store.open import local_copy, open_store
from dreamfoundry.records import Prompt

ROOT = Path(__file__).parents[2]
SOURCE_ROOT = str(Path(dreamfoundry.__file__).parents[1])


def make(*words: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit code and what the program says on standard output and standard error."""
    command = [sys.executable, str(ROOT / "jobs" / "make_manifest.py"), *map(str, words)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": SOURCE_ROOT}, input=stdin, capture_output=True)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def made(manifest: Path) -> list[Prompt]:
    report = scan(manifest)
    assert not report.row_errors
    return list(read_prompts(manifest, report.skip_rows))


def test_sources_become_a_manifest_with_a_line_about_it(tmp_path: Path) -> None:
    text, table = tmp_path / "prompts.txt", tmp_path / "PROMPTS.CSV"
    text.write_text("# toys\na red mushroom\n")
    table.write_text("sep=;\nPrompt;Seed\na Blue rocket;7\n")
    manifest = tmp_path / "out" / "tonight.parquet"

    code, shown, remarks = make(text, table, manifest)
    assert (code, remarks) == (0, "")
    assert shown == f"{manifest}: 2 prompts, {manifest.stat().st_size} bytes; 1 comment line left out\n"
    assert made(manifest) == [
        Prompt("a_red_mushroom", "a red mushroom", target_height_m=0.1),
        Prompt("a_blue_rocket", "a Blue rocket", target_height_m=10.0, seed=7),
    ]


def test_what_is_not_as_it_seems_is_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "prompts.csv"
    source.write_text("prompt,artist\na mug,me\na mug,you\n")

    code, _, remarks = make(source, tmp_path / "m.parquet")
    assert code == 0
    assert remarks.splitlines() == [
        f"warning: {source}: columns that are not read: artist",
        f"warning: {source}, line 3 repeats {source}, line 2: equal rows are one prompt",
    ]


def test_every_fault_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    source = tmp_path / "prompts.jsonl"
    source.write_text('{"prompt": "a \\ud83d mug"}\n{"prompt": "a mug", "seed": 7.5, "tags": "x"}\n')

    code, shown, remarks = make(source, tmp_path / "new" / "m.parquet")
    assert (code, shown) == (4, "")
    assert remarks.startswith("error: 3 faults, nothing is written\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flags", "content"),
    [
        ([], b"a mug\n"),
        (["--from", "jsonl"], b'{"prompt": "a mug"}'),
        (["--from=tsv"], b"prompt\tx\na mug\t\n"),
    ],
)
def test_standard_input_is_a_source(tmp_path: Path, flags: list[str], content: bytes) -> None:
    assert make("-", tmp_path / "m.parquet", *flags, stdin=content)[0] == 0
    assert made(tmp_path / "m.parquet") == [Prompt("a_mug", "a mug", target_height_m=0.1)]


def test_a_table_on_standard_input_is_told_from_text(tmp_path: Path) -> None:
    code, _, remarks = make("-", tmp_path / "m.parquet", stdin=b"prompt,seed\na mug,7\n")

    assert code == 4
    assert remarks.startswith("error: standard input: line 1, 'prompt,seed', looks like the header of a table")


def test_a_manifest_is_written_to_and_its_source_read_from_s3(tmp_path: Path, s3_url: str) -> None:
    open_store(f"{s3_url}/sources").put("prompts.csv", b"prompt\na mug\n", "text/csv")
    target = f"{s3_url}/manifests/tonight.parquet"

    code, shown, _ = make(f"{s3_url}/sources/prompts.csv", target)
    assert code == 0
    assert shown.startswith(f"{target}: 1 prompts, ")
    assert made(local_copy(target, tmp_path)) == [Prompt("a_mug", "a mug", target_height_m=0.1)]

    code, _, remarks = make(f"{s3_url}/sources/absent.csv", target)
    assert (code, remarks) == (4, f"error: {s3_url}/sources/absent.csv: no such object\n")
    code, _, remarks = make(f"{s3_url}/sources/prompts.csv", "s3://no-such-bucket/m.parquet")
    assert code == 4
    assert "error: s3://no-such-bucket/m.parquet: " in remarks
    code, _, remarks = make("s3://no-such-bucket/prompts.csv", tmp_path / "m.parquet")
    assert code == 4
    assert "error: s3://no-such-bucket/prompts.csv: " in remarks


def test_a_disk_without_room_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a mug\n")
    words = [str(ROOT / "jobs" / "make_manifest.py"), str(tmp_path / "p.txt"), str(tmp_path / "m.parquet")]
    program = f"import resource, runpy, sys; sys.argv = {words}; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9))"
    command = [sys.executable, "-c", f"{program}; runpy.run_path(sys.argv[0], run_name='__main__')"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": SOURCE_ROOT}, capture_output=True, text=True)

    assert done.returncode == 1
    assert "error: no room for temporary files" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m.parquet").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "name a source and, last, the manifest"),
        (["a.txt"], "name a source and, last, the manifest"),
        (["a.txt", "m.parquet", "--form", "csv"], "--form: unknown flag"),
        (["a.txt", "m.parquet", "--from", "xlsx"], "xlsx"),
        (["a.txt", "m.csv"], "'m.csv': the manifest comes last and must be named .parquet"),
    ],
)
def test_a_wrong_command_line_is_refused(tmp_path: Path, words: list[str], reason: str) -> None:
    code, shown, remarks = make(*words)

    assert (code, shown) == (4, "")
    assert reason in remarks


def test_the_file_has_small_row_groups_and_page_checksums(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("".join(f"a chair with {number} legs\n" for number in range(2001)))
    path = tmp_path / "m.parquet"
    make(tmp_path / "p.txt", path)
    metadata = pq.read_metadata(path)

    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [2000, 1]
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    chunk = metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(data)
    assert scan(path).num_lost_rows == 2000


def test_help_names_sources_columns_and_exit_codes() -> None:
    _, shown, _ = make("--help")

    for word in ("SOURCE... MANIFEST", "--from", "standard input", "prompt_id", "negative_prompt", "recipe_overrides"):
        assert word in shown
    for word in ("JSON Lines", "semicolons", "0  written", "4  refused"):
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
