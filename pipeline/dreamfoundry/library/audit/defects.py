"""Defects of a library: the object, the problem, the remedy, and the kind, by which `repair` knows what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dreamfoundry.records import BlobRef

DefectKind = Literal["record", "version", "blob", "asset", "refused", "stranger", "projection", "lost field"]
"""record: damaged, or in a wrong place. version: a record of another version. blob: not what a record says. asset:
not what its key says. refused: published although a gate said no. stranger: a view that no outcome knows.
projection: can be made again. lost field: a snapshot that nothing needs but to be named by its outcome."""


@dataclass(frozen=True)
class Defect:
    """Something in the library that is wrong: which object, what about it, and what to do.

    Of a blob `ref` is what it must be and `namer` the key of a record that says so.
    """

    key: str
    problem: str
    remedy: str
    kind: DefectKind
    ref: BlobRef | None = None
    namer: str = ""
