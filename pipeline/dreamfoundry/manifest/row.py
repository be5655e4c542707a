"""One row of the manifest: its columns, and the checks that make it a `Prompt`.

`COLUMNS` is the manifest's schema (schemas/manifest.v1.json is compared with it).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

import pyarrow as pa

from dreamfoundry.errors import ConfigError, RowError
from dreamfoundry.records import VIEWS, Prompt
from dreamfoundry.settings.export_profiles import export_profile
from dreamfoundry.settings.loading import with_overrides
from dreamfoundry.settings.recipe import Recipe

MAX_PROMPT_CHARS = 1000
MAX_SEED = 2**63 - 1
HEIGHT_RANGE_M = (0.001, 1000.0)
_PROMPT_ID = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")


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
    Column("tags", pa.list_(pa.string()), False, "words for the catalog"),
    Column("target_height_m", pa.float64(), False, "height of the asset in metres; default 1"),
    Column("budget_profile", pa.string(), False, "export profile; default that of the run"),
    Column("recipe_overrides", pa.string(), False, 'JSON object of recipe keys: {"optimize.num_steps": 200}'),
    Column("view_prompts", pa.string(), False, f"JSON object of wordings for single views: {', '.join(VIEWS)}"),
)
NAMES = frozenset(column.name for column in COLUMNS)


def column_faults(schema: pa.Schema) -> list[str]:
    """The reasons, in words, why a file with this Arrow schema is no manifest; none if it is one."""
    faults = []
    for column in COLUMNS:
        if column.name in schema.names:
            actual = schema.field(column.name).type
            if not _fits(actual, column.type):
                faults.append(f"column {column.name!r} has type {actual}: must be {column.type}")
        elif column.required:
            close = get_close_matches(column.name, [name for name in schema.names if name not in NAMES], n=1)
            hint = f"is {close[0]!r} meant?" if close else f"there are {', '.join(schema.names) or 'none'}"
            faults.append(f"column {column.name!r} is missing; {hint}")
    repeated = sorted({name for name in schema.names if name in NAMES and schema.names.count(name) > 1})
    return faults + [f"column {name!r} stands in the file twice" for name in repeated]


def prompt_from_row(values: Mapping[str, Any], row: int, recipe: Recipe = Recipe()) -> Prompt:  # noqa: B008 (frozen)
    """The prompt in `values` (by column; texts as UTF-8 bytes); RowError says what is wrong.

    White space around and within texts is made single; overrides are tried on `recipe`.
    """
    reader = _Row(values, row)
    prompt_id = reader.prompt_id()
    overrides = reader.json_object("recipe_overrides")
    budget_profile = reader.text("budget_profile")

    # Tried here, so that a bad override costs its row and not the run.
    try:
        if any(name.split(".")[0] == "prior" for name in overrides):
            reader.refuse("recipe_overrides", overrides, "must not change the prior: a run has one")
        if overrides:
            with_overrides(recipe, overrides)
        if budget_profile:
            export_profile(budget_profile)
    except ConfigError as error:
        raise RowError(f"row {row} ({prompt_id}): {error}", row=row, prompt_id=prompt_id) from None

    return Prompt(
        prompt_id=prompt_id,
        text=reader.text("prompt", required=True),
        negative_text=reader.text("negative_prompt"),
        seed=reader.number("seed", 0, lambda seed: 0 <= seed <= MAX_SEED, f"from 0 to {MAX_SEED}"),
        priority=reader.number("priority", 0, lambda value: True, "a whole number"),
        tags=reader.tags(),
        target_height_m=reader.height_m(),
        budget_profile=budget_profile,
        view_texts=reader.view_texts(),
        overrides=overrides,
    )


class _Row:
    """Typed access to the values of one row; every refusal names row, id, column, value, rule."""

    def __init__(self, values: Mapping[str, Any], row: int) -> None:
        self._values = values
        self._row = row
        self._id: str | None = None

    def refuse(self, column: str, value: object, rule: str) -> NoReturn:
        text = repr(value)
        text = text if len(text) <= 80 else f"{text[:77]}..."
        name = f" ({self._id})" if self._id else ""
        raise RowError(f"row {self._row}{name}: {column} = {text}: {rule}", row=self._row, prompt_id=self._id)

    def prompt_id(self) -> str:
        raw = self._values.get("prompt_id")
        prompt_id = self._decoded("prompt_id", raw)
        if raw is None or not _PROMPT_ID.fullmatch(prompt_id):
            self.refuse("prompt_id", prompt_id if raw is not None else None, f"must be {COLUMNS[0].meaning}")
        self._id = prompt_id
        return prompt_id

    def text(self, column: str, *, required: bool = False) -> str:
        return self._clean(column, self._decoded(column, self._values.get(column)), required=required)

    def number(self, column: str, default: int, allowed: Callable[[int], bool], rule: str) -> int:
        value = self._values.get(column)
        if value is None:
            return default
        if not allowed(value):
            self.refuse(column, value, f"must be {rule}")
        return int(value)

    def height_m(self) -> float:
        value = self._values.get("target_height_m")
        if value is None:
            return 1.0
        low, high = HEIGHT_RANGE_M
        if not (math.isfinite(value) and low <= value <= high):
            self.refuse("target_height_m", value, f"must be from {low} to {high} metres")
        return float(value)

    def tags(self) -> tuple[str, ...]:
        tags = self._values.get("tags") or ()
        return tuple(self._clean("tags", self._decoded("tags", tag), required=True) for tag in tags)

    def view_texts(self) -> dict[str, str]:
        texts = self.json_object("view_prompts")
        for view, text in texts.items():
            if view not in VIEWS or not isinstance(text, str):
                self.refuse("view_prompts", texts, f"must give texts for some of {', '.join(VIEWS)}")
        return {view: self._clean("view_prompts", str(text), required=True) for view, text in texts.items()}

    def json_object(self, column: str) -> dict[str, object]:
        text = self._decoded(column, self._values.get(column))
        if not text.strip():
            return {}
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.refuse(column, text, f"must be a JSON object ({error})")
        if not isinstance(value, dict):
            self.refuse(column, text, "must be a JSON object")
        return value

    def _decoded(self, column: str, raw: bytes | None) -> str:
        try:
            return (raw or b"").decode("utf-8")
        except UnicodeDecodeError as error:
            self.refuse(column, raw, f"must be UTF-8 (byte {error.start} is not)")

    def _clean(self, column: str, text: str, *, required: bool) -> str:
        text = unicodedata.normalize("NFC", " ".join(text.split()))
        if required and not text:
            self.refuse(column, text or None, "must not be empty")
        if len(text) > MAX_PROMPT_CHARS:
            self.refuse(column, text, f"must have at most {MAX_PROMPT_CHARS} characters, has {len(text)}")
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
            self.refuse(column, text, "must not contain control characters")
        return text


def _fits(actual: pa.DataType, wanted: pa.DataType) -> bool:
    """True if every value of `actual` can be read as `wanted`: other widths are fine."""
    if pa.types.is_null(actual):
        return True
    if pa.types.is_dictionary(actual):
        return _fits(actual.value_type, wanted)
    if pa.types.is_list(wanted):
        return (pa.types.is_list(actual) or pa.types.is_large_list(actual)) and _fits(
            actual.value_type, wanted.value_type
        )
    if pa.types.is_string(wanted):
        return bool(pa.types.is_string(actual) or pa.types.is_large_string(actual))
    if pa.types.is_floating(wanted):
        return bool(pa.types.is_floating(actual) or pa.types.is_integer(actual))
    return bool(pa.types.is_integer(actual))
