"""A folder comes back as files of limited size, and there is always a whole version of it."""

import io
import tarfile
from pathlib import Path

from dreamfoundry.evaluation.gpu_day.parts import write_parts


def folder_with(path: Path, content: bytes) -> Path:
    (path / "unet").mkdir(parents=True, exist_ok=True)
    (path / "unet" / "weights").write_bytes(content)
    return path


def test_the_parts_together_are_the_folder(tmp_path: Path) -> None:
    content = bytes(range(256)) * 200
    parts = write_parts(folder_with(tmp_path / "in", content), tmp_path, "weights-50", part_bytes=20_000)

    assert [part.name for part in parts] == [
        "weights-50.tar.0",
        "weights-50.tar.1",
        "weights-50.tar.2",
        "weights-50.tar.3",
    ]
    assert all(part.stat().st_size <= 20_000 for part in parts)
    with tarfile.open(fileobj=io.BytesIO(b"".join(part.read_bytes() for part in parts))) as tar:
        tar.extractall(tmp_path / "again", filter="data")
    assert (tmp_path / "again" / "unet" / "weights").read_bytes() == content


def test_a_new_version_takes_the_place_of_the_one_before_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "figures.json").touch()
    write_parts(folder_with(tmp_path / "in", b"first" * 9000), tmp_path, "weights-50", part_bytes=20_000)
    second = write_parts(folder_with(tmp_path / "in", b"second"), tmp_path, "weights-100", part_bytes=20_000)

    assert {path for path in tmp_path.iterdir() if path.is_file()} == {tmp_path / "figures.json", *second}
