"""Files that are handed in by mistake are known by their first bytes."""

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dreamfoundry.manifest.file_kinds import HEAD_BYTES, PARQUET, file_kind

TABLE = pa.table({"prompt": ["a mug"]})


def zipped(*names: str, content: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def written(write: object) -> bytes:
    file = io.BytesIO()
    write(TABLE, file)  # type: ignore[operator]
    return file.getvalue()


def picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, kind)
    return file.getvalue()


def test_a_parquet_file_is_one() -> None:
    assert file_kind(written(pq.write_table)) is PARQUET


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (written(pyarrow.feather.write_feather), "an Arrow (Feather) file"),
        (written(pyarrow.orc.write_table), "an ORC file"),
        (gzip.compress(b"a mug"), "compressed with gzip"),
        (bz2.compress(b"a mug"), "compressed with bzip2"),
        (lzma.compress(b"a mug"), "compressed with xz"),
        (pa.compress(b"a mug", "zstd", asbytes=True), "compressed with zstd"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook (.xlsx)"),
        (zipped("_rels/.rels", "xl/workbook.xml"), "an Excel workbook (.xlsx)"),
        (zipped("mimetype", content="application/vnd.oasis.opendocument.spreadsheet"), "an OpenDocument spreadsheet"),
        (zipped("prompts.txt", content="a mug"), "a zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "an old Excel workbook (.xls)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "a Git LFS pointer, not the file itself"),
        (b"\n<!DOCTYPE html>\n<html>", "a web page (HTML)"),
        (b"\xef\xbb\xbf<HTML lang=en>", "a web page (HTML)"),
        (b'<?xml version="1.0"?><Error/>', "XML"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"%PDF-1.7", "a PDF"),
        (picture("PNG"), "a picture (PNG)"),
        (picture("JPEG"), "a picture (JPEG)"),
        (picture("GIF"), "a picture (GIF)"),
        (picture("TIFF"), "a picture (TIFF)"),
        (picture("WEBP"), "a picture (WebP)"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a picture (SVG)"),
        (b"glTF\x02\0\0\0", "a 3D model (GLB)"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7-Zip archive"),
        (b"Rar!\x1a\x07\0", "a RAR archive"),
        (b"{\\rtf1\\ansi", "a document (RTF)"),
        (b"PARE", "an encrypted Parquet file"),
    ],
)
def test_each_kind_is_named_with_what_would_work(content: bytes, name: str) -> None:
    kind = file_kind(content[:HEAD_BYTES])

    assert kind is not None
    assert kind.name == name
    assert kind.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a mug\n",
        b"prompt,seed\n",
        b'{"prompt": "a mug"}',
        b"PAR",
        b"RIFF a mug",
        b"GIF",
        b"a PNG",
        b"\xff\xfea\0",
    ],
)
def test_text_is_no_such_kind(content: bytes) -> None:
    assert file_kind(content) is None
