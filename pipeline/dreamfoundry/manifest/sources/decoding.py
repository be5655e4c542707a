"""From the bytes of a source to its text: UTF-8, or UTF-16 and UTF-32 that say so; nothing is guessed.

Excel writes Windows-1252 for "CSV" and UTF-16 for "Unicode text". The former cannot be told from other encodings of
one byte a letter, so it is refused: a guess would change letters in silence.
"""

from __future__ import annotations

import codecs
import re

from dreamfoundry.manifest.sources.reading import Reading

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_LINES = 5_000_000
"""More than that would be gigabytes of empty lines."""

_SAVE = 'save the file as UTF-8 (in Excel: "CSV UTF-8")'


def decoded(data: bytes, reading: Reading) -> str | None:
    """The text with lines that end in \\n, without byte order marks; None where there is none to be read.

    Marks are taken away wherever a line begins with one: files that were joined have them in the middle. A line that
    is not UTF-8 is a fault, and stands in the text with U+FFFD for what is not, so that its other faults are found too.
    """
    num_lines = data.count(b"\n") + data.count(b"\r")
    if num_lines > _MAX_LINES:
        reading.refuse(f"has more than {_MAX_LINES:,} lines: make several manifests of it")
        return None

    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and data[:512].count(0) * 4 >= max(len(data[:512]), 1):
        reading.refuse(f"looks like UTF-16 without a byte order mark: {_SAVE}")
        return None

    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            reading.refuse(f"is {encoding.upper()} with broken characters from byte {error.start} on: {_SAVE}")
            return None
        _refuse_lines(data, reading)
        text = data.decode("utf-8", "replace")

    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"^\ufeff+", "", lines, flags=re.MULTILINE)


def _refuse_lines(data: bytes, reading: Reading) -> None:
    """A fault for every line that is not UTF-8, and what its byte may have meant."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = line[error.start : error.start + 1]
            letter = byte.decode("cp1252", "ignore")
            meant = f" (in Windows-1252 it is {letter!r})" if letter else ""
            reading.refuse(f"byte {error.start + 1}, 0x{byte.hex().upper()}, is not UTF-8{meant}: {_SAVE}", number)
