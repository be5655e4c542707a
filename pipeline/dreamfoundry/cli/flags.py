"""Kinds of flags and arguments: a value that cannot be meant is refused before anything starts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, Token

from dreamfoundry.settings.export_profiles import EXPORT_PROFILES

MAX_SECONDS = 1e9
"""More than thirty years."""

MAX_DIGITS = 20
"""Of a whole number; more than any of ours needs."""

MAX_SEED = 2**63 - 1
"""As in a manifest."""

DEFAULTS = Parameter(negative=())
"""No flag gets a --no-flag or --empty-flag beside it."""

Flag = Annotated[bool, Parameter(show_default=False)]
"""On when given, off by default."""

Repeated = Annotated[list[str], Parameter(show_default=False)]
"""One value each time; the flag can be repeated."""


# a default is validated too: None is what a flag says that was not given


def _at_least_one(kind: object, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError("must be at least 1")


def _at_least_zero(kind: object, value: float | int | None) -> None:
    if value is not None and not 0 <= value < MAX_SECONDS:
        raise ValueError(f"must be a number of at least 0 and below {MAX_SECONDS:g}")


def _seed(kind: object, value: int | None) -> None:
    if value is not None and not 0 <= value <= MAX_SEED:
        raise ValueError(f"must be from 0 to {MAX_SEED}")


def _whole(kind: object, tokens: Sequence[Token]) -> int:
    """A whole number as it is typed: 1.5 is none, and is not rounded."""
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError("must be a whole number")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"must be a whole number of at most {MAX_DIGITS} digits")
    return int(text)


def _device(kind: object, value: str | None) -> None:
    if value is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", value):
        raise ValueError('must be "cpu" or "cuda"')


def _existing_file(kind: object, value: Path | None) -> None:
    if value is None:
        return
    if _is_too_long(value) or not value.exists():
        raise ValueError("no such file")
    if value.is_dir():
        raise ValueError("is a folder: name a file")


def _output_file(kind: object, value: Path | None) -> None:
    if value is None:
        return
    _refuse_unmakeable(value.parent)
    if _is_too_long(value):
        raise ValueError("its name is too long: at most 255 bytes between slashes")
    if value.is_dir():
        raise ValueError("is a folder: name a file")


def _output_folder(kind: object, value: Path | None) -> None:
    if value is None:
        return
    if value.parts and len(value.parts[0]) > 2 and value.parts[0].endswith(":"):  # a Path has lost a slash of s3://
        raise ValueError("must be on this machine: name a path")
    _refuse_unmakeable(value)


def _refuse_unmakeable(folder: Path) -> None:
    if _is_too_long(folder):
        raise ValueError("its name is too long: at most 255 bytes between slashes")
    above = next((path for path in (folder, *folder.parents) if path.exists()), Path())
    if not above.is_dir():
        raise ValueError(f"{above} is a file: name a folder")


def _is_too_long(path: Path) -> bool:
    return any(len(part.encode(errors="replace")) > 255 for part in path.parts)


Count = Annotated[int | None, Parameter(validator=_at_least_one, converter=_whole, show_default=False)]
"""At least 1; None lets the program choose."""

Positive = Annotated[int, Parameter(validator=_at_least_one, converter=_whole)]

NotNegative = Annotated[int, Parameter(validator=_at_least_zero, converter=_whole)]

Seed = Annotated[int, Parameter(validator=_seed, converter=_whole)]

Seconds = Annotated[float, Parameter(validator=_at_least_zero)]
"""A duration or an amount: at least 0."""

ExistingFile = Annotated[Path, Parameter(validator=_existing_file)]

OutputFile = Annotated[Path, Parameter(validator=_output_file)]
"""A file to write, in a folder that is there or can be made."""

OutputFolder = Annotated[Path, Parameter(validator=_output_folder)]

Device = Annotated[str, Parameter(validator=_device, help='"cpu" or "cuda": one GPU per distill worker')]

Engine = Annotated[
    Literal["eager", "graphs", "compiled"],
    Parameter(help="how a GPU computes the prior; compiling takes minutes per worker"),
]

LibraryUrl = Annotated[str, Parameter(help="a directory or s3://bucket/prefix")]

RecipeName = Annotated[str, Parameter(help="a bundled preset or a TOML file")]

ProfileName = Annotated[
    str, Parameter(help=f"export profile of what names none: {', '.join(EXPORT_PROFILES)}, or a TOML file")
]

RecipeChanges = Annotated[
    Repeated, Parameter(name="--set", metavar="KEY=VALUE", help="change one recipe key; can be repeated")
]
"""A parameter of this kind is the flag --set."""
