"""Columns of a Parquet file: the types that are read, and their values as plain Python objects.

Every width and encoding of a type is read: what decides is that a value arrives as it is. Texts stay bytes, so that
one bad byte costs one row. A value that no row may have becomes `OverBound` before it is copied.
"""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dreamfoundry.manifest.bounds import JSON_COLUMNS, MAX_TAGS, max_bytes
from dreamfoundry.manifest.row import COLUMNS, NAMES, Column, OverBound
from dreamfoundry.manifest.text import first_few

_JSON_HINT = "write it as JSON text (json.dumps, to_json)"
_LIST_HINT = 'write lists of texts, as in ["wood", "old"]'
_TEXT_HINT = "write it as text (cast to string)"
_WHOLE_HINT = 'write whole numbers (pandas: astype("Int64"), else cast to int64)'
_SHORT_TAG_BYTES = 64
_NUMBER_HINT = "write numbers (cast to float64)"


def column_faults(schema: pa.Schema) -> list[str]:
    """The reasons, in words, why a file with this Arrow schema is no manifest; none if it is one."""
    faults = []
    for column in COLUMNS:
        count = schema.names.count(column.name)
        if count > 1:
            faults.append(f"column {column.name!r} stands in the file {count} times; keep one")
        elif count == 1:
            actual = schema.field(column.name).type
            if not _fits(actual, column):
                faults.append(f"column {column.name!r} has type {actual}: must be {column.type}; {_hint(column)}")
        elif column.required:
            meant = likely_name(column.name, schema.names)
            hint = f"is {meant!r} meant?" if meant else f"there are {first_few(schema.names) or 'none'}"
            faults.append(f"column {column.name!r} is missing; {hint}")
    return faults


def likely_name(name: str, names: list[str]) -> str:
    """The one of `names`, none of them a column's, that is probably meant for the column `name`; "" if none is."""
    strangers = [stranger for stranger in names if stranger not in NAMES]
    folded = {stranger.strip().lower().replace(" ", "_").replace("-", "_"): stranger for stranger in strangers}
    close = get_close_matches(name, folded, n=1, cutoff=0.8)
    return folded[close[0]] if close else ""


def plain_values(batch: pa.RecordBatch) -> dict[str, list[Any]]:
    """The values of a batch by column: None, bytes, numbers, tuples of bytes, `OverBound`."""
    return {
        column.name: _plain(column, batch.column(column.name))
        for column in COLUMNS
        if column.name in batch.schema.names
    }


def has_overlong_text(batch: pa.RecordBatch, name: str) -> bool:
    """True if the dictionary of a column has a text over its bound, or a tag so long that many of it take memory."""
    values = batch.column(name)
    values = values.flatten() if _is_list(values.type) else values
    if not pa.types.is_dictionary(values.type):
        return False
    most = _SHORT_TAG_BYTES if name == "tags" else max_bytes(name)
    return (pc.max(pc.binary_length(values.dictionary)).as_py() or 0) > most


def _plain(column: Column, values: pa.Array) -> list[Any]:
    if pa.types.is_null(values.type):
        return [None] * len(values)
    if pa.types.is_string(column.type):
        return _texts(column.name, values)
    if pa.types.is_list(column.type):
        return _lists(column.name, values)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_integer(column.type) and pa.types.is_floating(values.type):
        return [_whole_or_as_it_is(value) for value in values.to_pylist()]
    if pa.types.is_floating(column.type):
        return [None if value is None else float(value) for value in values.to_pylist()]
    return values.to_pylist()  # type: ignore[no-any-return]


def _whole_or_as_it_is(value: float | None) -> int | float | None:
    """The integer that a column with gaps of pandas holds as a float; None for a gap."""
    if value is None or math.isnan(value):
        return None
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


def _texts(name: str, values: pa.Array) -> list[Any]:
    """Texts as bytes. Numbers as they are written; NaN, which stands for no text in columns of pandas, is None."""
    if pa.types.is_floating(values.type):
        return [None if value is None or math.isnan(value) else value for value in values.to_pylist()]
    if pa.types.is_integer(values.type):
        return [None if value is None else str(value).encode() for value in values.to_pylist()]
    if isinstance(values, pa.ExtensionArray):
        values = values.storage  # of JSON
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_binary())  # views have no lengths in Arrow's functions
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()

    # bounded before anything is copied: many rows may share one huge text
    texts, places = values.dictionary, values.indices
    if pa.types.is_null(texts.type):
        return [None] * len(values)
    if not _is_text(texts.type):
        return _texts(name, texts.take(places))
    lengths = pc.binary_length(texts).take(places)
    most = max_bytes(name)
    if (pc.max(lengths).as_py() or 0) <= most:
        return texts.take(places).cast(pa.large_binary()).to_pylist()  # type: ignore[no-any-return]

    fits = pc.less_equal(lengths, most)
    found = texts.take(pc.if_else(fits, places, None)).cast(pa.large_binary()).to_pylist()
    heads = pc.binary_slice(texts.cast(pa.binary()), 0, 64).take(places).to_pylist()
    for index, length in enumerate(lengths.to_pylist()):
        if length is not None and length > most:
            found[index] = OverBound(f"a text of {length} bytes", f"must have at most {most} bytes", heads[index])
    return found  # type: ignore[no-any-return]


def _lists(name: str, values: pa.Array) -> list[Any]:
    """Lists of texts as tuples of bytes."""
    if pa.types.is_floating(values.type):
        return _texts(name, values)
    lengths = pc.list_value_length(values)
    fits = pc.fill_null(pc.less_equal(lengths, MAX_TAGS), True)
    if not pc.all(fits).as_py():
        values = values.filter(fits)
    inner = values.flatten()
    texts = [None] * len(inner) if pa.types.is_null(inner.type) else _texts(name, inner)

    found: list[Any] = []
    place = 0
    for length in lengths.to_pylist():
        if length is None:
            found.append(None)
        elif length > MAX_TAGS:
            found.append(OverBound(f"a list of {length}", f"must have at most {MAX_TAGS}"))
        else:
            found.append(tuple(texts[place : place + length]))
            place += length
    if place != len(texts):
        raise ValueError(f"lists of {place} values in all have {len(texts)}")
    return found


def _fits(actual: pa.DataType, column: Column) -> bool:
    """True if every value of `actual` can be read as the column's type, or refused by itself."""
    if pa.types.is_null(actual):
        return True
    if pa.types.is_dictionary(actual):
        return _fits(actual.value_type, column)
    if pa.types.is_list(column.type):
        # a column of floats holds nothing but gaps, or rows that are refused one by one
        return (_is_list(actual) and _is_text(actual.value_type)) or pa.types.is_floating(actual)
    if pa.types.is_string(column.type):
        is_id = column.name == "prompt_id" and pa.types.is_integer(actual)
        return is_id or _is_text(actual) or pa.types.is_floating(actual)
    return bool(pa.types.is_floating(actual) or pa.types.is_integer(actual))


def _is_list(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
        pa.types.is_fixed_size_list,
    )
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    if isinstance(kind, pa.JsonType):
        return _is_text(kind.storage_type)
    tests = (
        pa.types.is_null,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def _hint(column: Column) -> str:
    """Name what would work in place of a type that does not fit."""
    if pa.types.is_list(column.type):
        return _LIST_HINT
    if pa.types.is_string(column.type):
        return _JSON_HINT if column.name in JSON_COLUMNS else _TEXT_HINT
    return _WHOLE_HINT if pa.types.is_integer(column.type) else _NUMBER_HINT
