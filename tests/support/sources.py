"""Sources of manifests: written by a test, made into a manifest, or refused with a message without its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import read_prompts, scan
from dreamfoundry.manifest.sources.kinds import Kind
from dreamfoundry.manifest.sources.reading import Reading
from dreamfoundry.manifest.sources.source import read_source
from dreamfoundry.manifest.writer import make_manifest
from dreamfoundry.records import Prompt


def write(folder: Path, name: str, content: str | bytes) -> str:
    """The path of a new file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def read(folder: Path, name: str, content: str | bytes, kind: Kind | None = None) -> Reading:
    """The source alone, before ids and the reader's checks."""
    return read_source(write(folder, name, content), kind)


def prompts(folder: Path, name: str, content: str | bytes, kind: Kind | None = None) -> list[Prompt]:
    """The prompts of the manifest that is made of `content`."""
    target = folder / "manifest.parquet"
    made = make_manifest([write(folder, name, content)], str(target), kind)
    report = scan(target)
    assert (made.num_prompts, made.num_bytes) == (report.num_prompts, target.stat().st_size)
    assert not report.row_errors
    assert not report.repeated
    assert not report.conflicts
    return list(read_prompts(target, report.skip_rows))


def warnings(folder: Path, name: str, content: str | bytes) -> list[str]:
    """The warnings when a manifest is made of `content`."""
    made = make_manifest([write(folder, name, content)], str(folder / "manifest.parquet"))
    return [warning.replace(f"{folder}/", "") for warning in made.warnings]


def refusal(folder: Path, name: str, content: str | bytes, kind: Kind | None = None) -> str:
    """The message with which `content` is refused; nothing is written."""
    target = folder / "manifest.parquet"
    with pytest.raises(ManifestError) as refused:
        make_manifest([write(folder, name, content)], str(target), kind)
    assert not target.exists()
    return str(refused.value).replace(f"{folder}/", "")


def faults(folder: Path, name: str, content: str | bytes, kind: Kind | None = None) -> list[str]:
    """Every fault of `content`, one line each."""
    lines = refusal(folder, name, content, kind).split("\n  ")
    return lines if len(lines) == 1 else lines[1:]
