"""One row of the manifest: its columns, and the checks that make it a `Prompt`.

`COLUMNS` is the manifest's schema (schemas/manifest.v1.json is compared with it).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import pyarrow as pa

from dreamfoundry.errors import ConfigError, RowError
from dreamfoundry.manifest.bounds import MAX_JSON_BYTES, MAX_TAGS
from dreamfoundry.manifest.heights.typical import typical_height_m
from dreamfoundry.manifest.json_object import json_object
from dreamfoundry.manifest.text import ABSENT, character_fault, is_absent, is_blank, with_single_spaces
from dreamfoundry.records import VIEWS, Prompt, ScaleSource
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

MAX_PROMPT_CHARS = 1000
MAX_SEED = 2**63 - 1
HEIGHT_RANGE_M = (0.01, 100.0)
DEFAULT_HEIGHT_M = 1.0
MAX_FAULTS_TOLD = 5
"""Faults of a row that its message tells; of all others the number."""

PROMPT_ABSENT = f"{ABSENT}: say what to make, or remove the row"

_SEEDS = range(MAX_SEED + 1)
_MAX_INT32 = 2**31 - 1
_PRIORITIES = range(-_MAX_INT32, _MAX_INT32 + 1)
_PRIORITY_RULE = f"from -{_MAX_INT32} to {_MAX_INT32}"
_EXACT_FLOAT = 2**53
_JSON_KIB = MAX_JSON_BYTES // 2**10
_PROMPT_ID = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")

T = TypeVar("T")

Check = Callable[[Prompt], str | None]
"""Says why a prompt is refused, or None: what the caller knows and the manifest does not."""


@dataclass(frozen=True)
class Column:
    """A column of the manifest: its documented Arrow type and what it means."""

    name: str
    type: pa.DataType
    required: bool
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column("prompt_id", pa.string(), True, "a unique name, 1 to 128 of A-Z a-z 0-9 . _ - and no dot in front"),
    Column("prompt", pa.string(), True, f"what to make, 1 to {MAX_PROMPT_CHARS} characters"),
    Column("negative_prompt", pa.string(), False, "what to avoid; default none"),
    Column("seed", pa.int64(), False, "0 or more; another seed gives another asset; default 0"),
    Column("priority", pa.int32(), False, "higher starts first; default 0"),
    Column("tags", pa.list_(pa.string()), False, f"words for the catalog, at most {MAX_TAGS}"),
    Column(
        "target_height_m", pa.float64(), False, "height of the asset in metres; default that of such things, else 1"
    ),
    Column("budget_profile", pa.string(), False, "export profile; default that of the run"),
    Column(
        "recipe_overrides",
        pa.string(),
        False,
        f'JSON object of recipe keys: {{"optimize.num_steps": 200}}, at most {_JSON_KIB} KiB',
    ),
    Column(
        "view_prompts",
        pa.string(),
        False,
        f"JSON object of wordings for single views: {', '.join(VIEWS)}; at most {_JSON_KIB} KiB",
    ),
)
NAMES = frozenset(column.name for column in COLUMNS)


@dataclass(frozen=True)
class OverBound:
    """In place of a value that is too big to be read: its size in words, the rule it breaks, how it begins."""

    size: str
    rule: str = field(repr=False)
    head: bytes = b""


def prompt_from_row(
    values: Mapping[str, Any],
    row: int,
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    place: str = "",
    check: Check | None = None,
) -> Prompt:
    """The prompt in `values` (by column; texts as UTF-8 bytes); RowError tells all cells that are wrong.

    White space around and within texts is made single; overrides are tried on `recipe`. `place` names the row
    in messages, "row 7" by default.
    """
    cells = _Row(values)
    prompt_id = cells.read(cells.prompt_id, "")
    text = cells.read(lambda: cells.text("prompt", required=True), "")
    unread: tuple[float, ScaleSource] = (DEFAULT_HEIGHT_M, "default")
    height_m, scale_source = cells.read(lambda: cells.height_m(text), unread)

    prompt = Prompt(
        prompt_id=prompt_id,
        text=text,
        negative_text=cells.read(lambda: cells.text("negative_prompt"), ""),
        seed=cells.read(lambda: cells.number("seed", _SEEDS, f"from 0 to {MAX_SEED}"), 0),
        priority=cells.read(lambda: cells.number("priority", _PRIORITIES, _PRIORITY_RULE), 0),
        tags=cells.read(cells.tags, ()),
        target_height_m=height_m,
        scale_source=scale_source,
        budget_profile=cells.read(cells.budget_profile, ""),
        view_texts=cells.read(cells.view_texts, {}),
        overrides=cells.read(lambda: cells.overrides(recipe), {}),
    )

    # the words of a row are told beside the faults of its cells
    reason = check(prompt) if check is not None else None
    faults = [*cells.faults, reason] if reason is not None else cells.faults
    if faults:
        more = len(faults) - MAX_FAULTS_TOLD
        told = "; ".join(faults[:MAX_FAULTS_TOLD]) + f"; and {more} more" * (more > 0)
        name = f" ({prompt.prompt_id})" if prompt.prompt_id else ""
        raise RowError(f"{place or f'row {row}'}{name}: {told}", row=row, prompt_id=prompt.prompt_id or None)
    return prompt


def row_content(values: Mapping[str, Any]) -> str:
    """SHA-256 of the values of a row, wherever it stands: 64 hex characters. Columns without a value don't count."""
    present = sorted((name, value) for name, value in values.items() if value is not None)
    return hashlib.sha256(repr(present).encode()).hexdigest()


def row_text(values: Mapping[str, Any]) -> str:
    """The prompt of a row as far as it can be shown; "" if it is no text."""
    raw = values.get("prompt")
    try:
        text = raw.decode() if isinstance(raw, bytes) else ""
    except UnicodeDecodeError:
        return ""
    return "".join(char for char in with_single_spaces(text)[:MAX_PROMPT_CHARS] if not character_fault(char))


class _Row:
    """Typed access to the values of one row; every refusal is a ConfigError that names column, value, rule."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.faults: list[str] = []

    def read(self, cell: Callable[[], T], default: T) -> T:
        """The value of `cell`; `default` where it is refused, which is noted."""
        try:
            return cell()
        except ConfigError as error:
            self.faults.append(str(error))
            return default

    def refuse(self, column: str, value: object, rule: str) -> NoReturn:
        text = repr(value)
        text = text if len(text) <= 80 else f"{text[:77]}..."
        raise ConfigError(f"{column} = {text}: {rule}" if value is not None else f"{column} is missing: {rule}")

    def prompt_id(self) -> str:
        raw = self._values.get("prompt_id")
        prompt_id = self._decoded("prompt_id", raw)
        if not _PROMPT_ID.fullmatch(prompt_id):
            self.refuse("prompt_id", prompt_id if raw is not None else None, f"must be {COLUMNS[0].meaning}")
        return prompt_id

    def text(self, column: str, *, required: bool = False) -> str:
        raw = self._values.get(column)
        if raw is None and required:
            self.refuse(column, None, "must not be empty")
        return self._words(column, self._decoded(column, raw), required=required)

    def number(self, column: str, allowed: range, rule: str) -> int:
        value = self._values.get(column)
        if value is None:
            return 0
        if isinstance(value, float) and not (value.is_integer() and abs(value) <= _EXACT_FLOAT):
            self.refuse(column, value, "must be a whole number, and as an integer where it is beyond 2^53")
        if int(value) not in allowed:
            self.refuse(column, value, f"must be {rule}")
        return int(value)

    def height_m(self, prompt: str) -> tuple[float, ScaleSource]:
        """The height of the asset, and where it is from: the row, the words of its `prompt`, or neither."""
        value = self._values.get("target_height_m")
        low, high = HEIGHT_RANGE_M
        if value is None:
            typical_m = typical_height_m(prompt) or 0.0
            return (min(max(typical_m, low), high), "words") if typical_m else (DEFAULT_HEIGHT_M, "default")
        if not (math.isfinite(value) and low <= value <= high):
            self.refuse("target_height_m", value, f"must be from {low} to {high} metres")
        return float(value), "manifest"

    def tags(self) -> tuple[str, ...]:
        tags = self._values.get("tags") or ()
        if isinstance(tags, OverBound):
            self.refuse_size("tags", tags)
        if not isinstance(tags, tuple | list):
            self.refuse("tags", tags, "must be a list of texts")
        return tuple(self._tag(f"tags[{number}]", tag) for number, tag in enumerate(tags))

    def budget_profile(self) -> str:
        name = self.text("budget_profile")
        if name:
            export_profile(name)
        return name

    def overrides(self, recipe: Recipe) -> dict[str, object]:
        """The overrides, tried out: a bad one costs its row and not the run."""
        overrides = self.json_object("recipe_overrides")
        if any(name.split(".")[0] == "prior" for name in overrides):
            self.refuse("recipe_overrides", overrides, "must not change the prior: a run has one")
        if overrides:
            with_overrides(recipe, overrides)
        return overrides

    def view_texts(self) -> dict[str, str]:
        texts = self.json_object("view_prompts")
        for view, text in texts.items():
            if view not in VIEWS or not isinstance(text, str):
                self.refuse("view_prompts", texts, f"must give texts for some of {', '.join(VIEWS)}")
        return {view: self._words(f"view_prompts.{view}", str(text), required=True) for view, text in texts.items()}

    def json_object(self, column: str) -> dict[str, object]:
        text = self._decoded(column, self._values.get(column))
        if not text.strip():
            return {}
        try:
            return json_object(text)
        except ValueError as error:
            self.refuse(column, text, str(error))

    def refuse_size(self, column: str, value: OverBound) -> NoReturn:
        raise ConfigError(f"{column} is {value.size}: {value.rule}")

    def _tag(self, column: str, raw: object) -> str:
        if raw is None:
            self.refuse(column, None, "must not be empty")
        return self._clean(column, self._decoded(column, raw), required=True)

    def _decoded(self, column: str, raw: object) -> str:
        if isinstance(raw, OverBound):
            self.refuse_size(column, raw)
        if raw is None:
            return ""
        if not isinstance(raw, bytes):
            self.refuse(column, raw, "must be text: cast the column to string")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self.refuse(column, raw, f"must be UTF-8 (byte {error.start} is not)")

    def _words(self, column: str, text: str, *, required: bool) -> str:
        """A text that a model reads: what stands for no value would be words like others there."""
        if is_absent(text):
            self.refuse(column, text, PROMPT_ABSENT if column == "prompt" else f"{ABSENT}: leave it out")
        return self._clean(column, text, required=required)

    def _clean(self, column: str, text: str, *, required: bool) -> str:
        clean = with_single_spaces(text)
        if required and not clean:
            self.refuse(column, text, "must not be empty")
        if clean and is_blank(clean):
            self.refuse(column, clean, "must not be empty: its characters show nothing")
        if len(clean) > MAX_PROMPT_CHARS:
            self.refuse(column, clean, f"must have at most {MAX_PROMPT_CHARS} characters, has {len(clean)}")
        fault = character_fault(clean)
        if fault:
            self.refuse(column, clean, fault)
        return clean
