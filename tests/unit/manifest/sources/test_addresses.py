"""Addresses that are no source are refused with what would work, and none of them hangs."""

import os
import socket
import threading
from pathlib import Path

import pytest

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.sources.addresses import read_address, split_s3


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "'': must be a path, s3://bucket/key, or -; is it a variable that is not set?"),
        (" ", "' ': must be a path"),
        ("{folder}", "is a folder: name the files in it"),
        ("{folder}/absent.txt", "no such file"),
        ("{folder}/file/prompts.txt", "cannot be read: Not a directory"),
        ("{folder}/" + "x" * 300, "cannot be read: File name too long"),
        ("{folder}/a\0b", "cannot be read: embedded null"),
        ("{folder}/loop", "cannot be read: Too many levels of symbolic links"),
        ("{folder}/socket", "must be a file or a pipe, not a device"),
        ("/dev/zero", "must be a file or a pipe, not a device"),
        ("https://example.org/prompts.txt", "must be a path, s3://bucket/key, or - for standard input"),
        ("file:///prompts.txt", "must be a path, s3://bucket/key, or - for standard input"),
        ("gs://bucket/prompts.txt", "must be a path, s3://bucket/key, or - for standard input"),
        ("s3://", "must name an object, as in s3://bucket/folder/name"),
        ("s3://bucket", "must name an object, as in s3://bucket/folder/name"),
        ("s3://bucket/folder/", "must name an object, as in s3://bucket/folder/name"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, address: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(ManifestError) as refused:
            read_address(address.replace("{folder}", str(tmp_path)))

    assert reason in str(refused.value)
    assert address.strip() == "" or str(refused.value).startswith(address.replace("{folder}", str(tmp_path)))


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a mug\n" * 100_000,))
    writer.start()

    assert read_address(str(pipe)) == b"a mug\n" * 100_000
    writer.join()


@pytest.mark.parametrize(
    ("url", "folder", "name"),
    [("s3://b/k.csv", "s3://b", "k.csv"), ("s3://b/a/b c/k.csv", "s3://b/a/b c", "k.csv")],
)
def test_an_object_has_a_folder_and_a_name(url: str, folder: str, name: str) -> None:
    assert split_s3(url) == (folder, name)
