"""Whatever is handed in, the books balance: rows promised are read, bad, lost or repeated, or the manifest is refused.

The slow tests try a thousand of each kind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import ManifestReport, read_prompts, scan

NUM_EXAMPLES = [30, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]

ROWS = st.shared(st.integers(0, 6), key="rows")

TEXTS = st.one_of(
    st.none(),
    st.text(max_size=12).map(str.encode),
    st.binary(max_size=8),
    st.sampled_from(["a red chair", "", " ", "\u200b", "\ufeffx", "CON", "chair", "Chair", "..", "x" * 70_000]).map(
        str.encode
    ),
    st.sampled_from([b"{}", b"[1]", b"{", b'{"optimize.num_steps": 3}', b'{"a": "\\ud83d"}', b'{"back": "x"}']),
)
IDS = st.one_of(TEXTS, st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"]))
TAGS = st.one_of(st.none(), st.lists(TEXTS, max_size=4), st.just([b"t"] * 100))
INTEGERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-1, 3))
FLOATS = st.one_of(st.none(), st.floats(), st.sampled_from([2.0**53, 2.0**60, 0.5, 7.0]))

TEXT_KINDS = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view()]
TAG_KINDS = [pa.list_(pa.string()), pa.large_list(pa.binary()), pa.list_(pa.binary())]


def arrays(values: st.SearchStrategy[Any], plain: pa.DataType, kinds: list[pa.DataType]) -> st.SearchStrategy[pa.Array]:
    """Columns of `values` in any of the `kinds`; what is no UTF-8 stays as it is."""
    lists = ROWS.flatmap(lambda size: st.lists(values, min_size=size, max_size=size))
    return st.builds(lambda found, kind: pa.array(found, plain).cast(kind, safe=False), lists, st.sampled_from(kinds))


def text_arrays(texts: st.SearchStrategy[Any]) -> st.SearchStrategy[pa.Array]:
    arrow = arrays(texts, pa.binary(), TEXT_KINDS)
    return st.one_of(arrow, arrays(texts, pa.binary(), TEXT_KINDS[:1]).map(lambda array: array.dictionary_encode()))


ANY_COLUMN = st.one_of(
    text_arrays(TEXTS),
    arrays(TAGS, pa.list_(pa.binary()), TAG_KINDS),
    arrays(INTEGERS, pa.int64(), [pa.int64()]),
    arrays(FLOATS, pa.float64(), [pa.float64()]),
    arrays(st.booleans(), pa.bool_(), [pa.bool_()]),
    ROWS.map(pa.nulls),
)
TABLES = st.fixed_dictionaries(
    {"prompt_id": text_arrays(IDS), "prompt": text_arrays(TEXTS)},
    optional={
        "negative_prompt": text_arrays(TEXTS),
        "seed": arrays(FLOATS, pa.float64(), [pa.float64()]),
        "priority": arrays(INTEGERS, pa.int64(), [pa.int64()]),
        "tags": arrays(TAGS, pa.list_(pa.binary()), TAG_KINDS),
        "recipe_overrides": text_arrays(TEXTS),
        "view_prompts": text_arrays(TEXTS),
        "target_height_m": ANY_COLUMN,
        "seeds": ANY_COLUMN,
        "Prompt": ANY_COLUMN,
    },
)
FORMATS = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["none", "snappy", "zstd"]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "use_dictionary": st.booleans(),
        "store_schema": st.booleans(),
        "write_page_checksum": st.booleans(),
        "row_group_size": st.sampled_from([1, 2, 20, 100]),
    }
)
DAMAGES = st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 255)), min_size=1, max_size=4)
PLAIN_NAMES = [
    "a.parquet",
    "B.PARQUET",
    "_c.parquet",
    ".d.parquet",
    "e.tmp.parquet",
    "f.csv",
    "_SUCCESS",
    "g/a.parquet",
]
NESTED_NAMES = ["date=1/a.parquet", "date=1/h=2/b.parquet", "date=1/x/b.parquet", "priority=3/a.parquet", "h.parquet/a"]
NAMES = st.lists(st.sampled_from([*PLAIN_NAMES, *NESTED_NAMES]), max_size=5, unique=True)


def account(path: Path) -> ManifestReport | None:
    """The report on a manifest, whose books balance, None if it is refused; any other exception is a fault."""
    try:
        report = scan(path)
    except ManifestError:
        return None

    num_bad, num_others = len(report.row_errors), len(report.repeated) + len(report.conflicts)
    assert report.num_rows == report.num_prompts + num_bad + report.num_lost_rows + num_others
    assert sum(1 for _ in read_prompts(path, report.skip_rows)) == report.num_prompts
    assert all(error.part and len(error.content) == 64 for error in report.row_errors)
    return report


@pytest.mark.parametrize("num_examples", NUM_EXAMPLES)
def test_39_the_books_of_any_table_balance(num_examples: int, tried: Callable[[], None]) -> None:
    @settings(max_examples=num_examples, deadline=None)
    @given(columns=TABLES, how=FORMATS)
    def balance(columns: dict[str, pa.Array], how: dict[str, Any]) -> None:
        tried()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "m.parquet"
            pq.write_table(pa.table(columns), path, **how)

            account(path)

    balance()


@pytest.mark.parametrize("num_examples", NUM_EXAMPLES)
def test_39_the_books_of_a_damaged_file_balance(num_examples: int, tried: Callable[[], None]) -> None:
    numbers = range(60)
    columns = {
        "prompt_id": [f"row-{number}" for number in numbers],
        "prompt": [f"a red chair with {number % 7} legs" for number in numbers],
        "seed": list(numbers),
        "tags": [["a", "b"][: number % 3] for number in numbers],
    }

    @settings(max_examples=num_examples, deadline=None)
    @given(how=FORMATS, damages=DAMAGES, in_footer=st.booleans())
    def balance(how: dict[str, Any], damages: list[tuple[float, int]], in_footer: bool) -> None:
        tried()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "m.parquet"
            pq.write_table(pa.table(columns), path, **how)
            data = bytearray(path.read_bytes())
            footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
            first = footer if in_footer else 0
            places = [first + int(where * (len(data) - 1 - first)) for where, _ in damages]
            for place, (_, byte) in zip(places, damages, strict=True):
                data[place] = byte
            path.write_bytes(data)

            report = account(path)

        assert report is None or report.num_rows == 60 or max(places) >= footer

    balance()


@pytest.mark.parametrize("num_examples", NUM_EXAMPLES)
def test_39_every_name_in_a_folder_is_read_or_named_or_a_marker(num_examples: int, tried: Callable[[], None]) -> None:
    @settings(max_examples=num_examples, deadline=None)
    @given(names=NAMES, is_cut=st.booleans())
    def balance(names: list[str], is_cut: bool) -> None:
        tried()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "m"
            path.mkdir()
            for number, name in enumerate(names):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.table({"prompt_id": [f"id-{number}"], "prompt": ["a mug"]}), path / name)
            if names and is_cut:
                (path / names[0]).write_bytes(b"PAR1")

            report = account(path)

        if report is not None:
            left_out = {name for name in names if any(name.startswith(item.name) for item in report.not_read)}
            assert report.num_rows == len(names) - len(left_out) - ("_SUCCESS" in names)

    balance()
