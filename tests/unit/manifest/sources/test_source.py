"""A source is what its name says, in any case; what it is not is told by its bytes."""

import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from dreamfoundry.manifest.sources.kinds import KINDS, Kind
from support.sources import faults, prompts, read, refusal

CONTENTS: dict[Kind, str] = {
    "text": "a mug\n",
    "csv": "prompt,seed\na mug,\n",
    "tsv": "prompt\tseed\na mug\t\n",
    "jsonl": '{"prompt": "a mug"}\n',
    "json": '[{"prompt": "a mug"}]',
}


@pytest.mark.parametrize("suffix", [*KINDS, *(suffix.upper() for suffix in KINDS), ".Csv", ".JsonL"])
def test_suffixes_are_known_in_any_case(tmp_path: Path, suffix: str) -> None:
    content = CONTENTS[KINDS[suffix.lower()]]

    assert [prompt.text for prompt in prompts(tmp_path, f"prompts{suffix}", content)] == ["a mug"]


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("name", ["prompts.txt", "prompts.csv", "prompts.md", "prompts"])
def test_a_kind_that_is_told_counts_more_than_a_name(tmp_path: Path, kind: Kind, name: str) -> None:
    assert [prompt.text for prompt in prompts(tmp_path, name, CONTENTS[kind], kind)] == ["a mug"]


@pytest.mark.parametrize("name", ["prompts.md", "prompts.TEXT", "prompts.xls", "prompts.csv.bak", "prompts.parquet"])
def test_an_unknown_suffix_is_refused_with_what_would_work(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path, name, "a mug\n") == (
        f"{name}: unknown suffix {Path(name).suffix.lower()!r}: must be one of "
        ".txt, .csv, .tsv, .tab, .jsonl, .ndjson, .json; or say what it is, as in --from text"
    )


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def table(write: object) -> bytes:
    file = io.BytesIO()
    write(pa.table({"prompt": ["a mug"]}), file)  # type: ignore[operator]
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (workbook(), 'is an Excel workbook (.xlsx): save it as "CSV UTF-8"'),
        (gzip.compress(b"prompt\na mug\n"), "is compressed with gzip: unpack it first (gunzip)"),
        (table(pq.write_table), "is a Parquet file: give it to `dreamfoundry build` as it is"),
        (table(pyarrow.feather.write_feather), "is an Arrow (Feather) file: write it as Parquet"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer, not the file itself: run git lfs",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a picture (PNG): give prompts in words"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a picture (JPEG): give prompts in words"),
        (b"%PDF-1.7\n", "is a PDF: copy its lines into a text file"),
        (b"<!DOCTYPE html>\n<html></html>", "is a web page (HTML): download the file itself"),
    ],
)
@pytest.mark.parametrize("name", ["prompts.csv", "prompts.txt", "prompts.json", "prompts.xlsx", "prompts.csv.gz"])
def test_what_a_file_is_counts_more_than_its_name(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    for kind in (None, "text", "csv"):
        assert refusal(tmp_path, name, content, kind).startswith(f"{name}: {reason}")


@pytest.mark.parametrize(
    ("name", "content", "line", "marker"),
    [
        ("p.txt", "a car\n<<<<<<< HEAD\na mug\n=======\na hat\n>>>>>>> theirs\n", 2, "<<<<<<< HEAD"),
        ("p.txt", "a car\r\n=======\r\na hat\r\n>>>>>>> theirs\r\n", 2, "======="),
        ("p.txt", "a car\na hat\n>>>>>>> 1f3870b (more hats)", 3, ">>>>>>> 1f3870b (more hats)"),
        ("p.csv", "prompt,seed\n<<<<<<< HEAD\na mug,7\n=======\na mug,8\n>>>>>>> x\n", 2, "<<<<<<< HEAD"),
        ("p.tsv", "<<<<<<<\nprompt\tseed\na mug\t7\n", 1, "<<<<<<<"),
        ("p.jsonl", '{"prompt": "a mug"}\n=======\n{"prompt": "a car"}\n', 2, "======="),
        ("p.json", '[{"prompt": "a mug"}\n>>>>>>> x\n]', 2, ">>>>>>> x"),
    ],
)
def test_what_git_leaves_of_a_conflict_is_refused(
    tmp_path: Path, name: str, content: str, line: int, marker: str
) -> None:
    assert refusal(tmp_path, name, content, "text" if name == "p.txt" else None) == (
        f"{name}, line {line}: {marker!r} looks like a conflict marker of git: choose one side and remove the markers"
    )


@pytest.mark.parametrize("line", ["a ======= b", "========", "<<<<<<<<", "<<< a mug >>>", ">>>>>>>x"])
def test_other_lines_of_such_signs_are_no_conflict(tmp_path: Path, line: str) -> None:
    assert len(read(tmp_path, "p.txt", line).rows) == 1


def test_a_source_keeps_its_faults_to_itself(tmp_path: Path) -> None:
    reading = read(tmp_path, "p.csv", "prompt,seed\na mug,7\na car,x\na hat,8\n")

    assert [row.values["prompt"] for row in reading.rows] == ["a mug", "a hat"]
    assert [str(row.place) for row in reading.rows] == [f"{tmp_path}/p.csv, line {line}" for line in (2, 4)]
    assert len(reading.faults) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\n" * 5_000_001, "has more than 5,000,000 lines: make several manifests of it"),
        (bytes(2**28 + 1), "a source may have 256 MiB: make several manifests of it, or write it as Parquet yourself"),
    ],
)
def test_a_source_that_would_take_all_memory_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    assert refusal(tmp_path, "p.txt", content) == f"p.txt: {reason}"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "line"), [("p.txt", b"x\n"), ("p.jsonl", b"0\n"), ("p.csv", b"prompt\n")])
def test_a_source_of_too_many_rows_is_refused(tmp_path: Path, name: str, line: bytes) -> None:
    content = b"prompt,seed\n" * (name == "p.csv") + line * 1_000_001

    assert refusal(tmp_path, name, content) == (
        f"{name}: has more than 1,000,000 prompts or faults: make several manifests of it"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "prompt,seed,prompt_id,budget_profile\na mug,x7,a/b,gme_hero\n"),
        ("p.csv", "prompt,seed,prompt_id,budget_profile\n,7,a/b,gme_hero\n"),
        ("p.jsonl", '{"prompt": "a mug", "seed": "x", "prompt_id": "a/b", "budget_profile": "gme_hero"}\n'),
        ("p.json", '[{"prompt": 7, "prompt_id": "a/b", "budget_profile": "gme_hero"}]'),
    ],
)
def test_a_row_that_is_refused_for_one_cell_tells_the_others_too(tmp_path: Path, name: str, content: str) -> None:
    told = faults(tmp_path, name, content)

    assert len(told) == 2
    assert "prompt_id = 'a/b': must be" in told[1]
    assert "gme_hero" in told[1]
