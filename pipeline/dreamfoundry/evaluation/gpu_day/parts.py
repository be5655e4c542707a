"""A folder as a few files of limited size, for a way back that takes no large ones."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

PART_BYTES = 15 * 2**20


def write_parts(folder: Path, target: Path, name: str, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write `folder` into `target` as parts of a tar, and then remove those of other names.

    `name` is new for every version, as in "weights-3000": the parts of two are never mixed, and there is always a
    whole one. `cat NAME.tar.* | tar x` unpacks them.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(folder, arcname=".")
    content = buffer.getvalue()

    parts = []
    for number, start in enumerate(range(0, len(content), part_bytes)):
        part = target / f"{name}.tar.{number}"
        part.write_bytes(content[start : start + part_bytes])
        parts.append(part)

    for other in target.glob(f"{name.partition('-')[0]}-*.tar.*"):
        if other not in parts:
            other.unlink()
    return parts
