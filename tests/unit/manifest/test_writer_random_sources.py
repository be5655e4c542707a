"""Whatever a source holds: a manifest that the reader accepts, row for row, or a ManifestError, never anything else."""

import json
import re
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from dreamfoundry.errors import ManifestError
from dreamfoundry.manifest.reader import read_prompts, scan
from dreamfoundry.manifest.row import COLUMNS
from dreamfoundry.manifest.sources.kinds import KINDS
from dreamfoundry.manifest.writer import make_manifest

NAMES = [column.name for column in COLUMNS]
NUMBERS = st.one_of(st.integers(-10, 10), st.integers(), st.floats(), st.sampled_from([2**63, 10**400, -0.0, 7.0]))
TEXTS = st.one_of(
    st.sampled_from(["a mug", "A mug!", "椅子", "", " ", "\u200b", "a\u202eb", "\ud83d", "7.0", "0,9", "{}", "CON"]),
    st.text(max_size=20),
    st.text(string.printable, max_size=40),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "L", "Zs"]), max_size=5),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
SOUND = st.fixed_dictionaries(
    {"prompt": st.sampled_from(["a mug", "a car", "A mug!", "红色的椅子"])},
    optional={
        "seed": st.integers(0, 3),
        "tags": st.lists(st.sampled_from(["x", "y"]), max_size=2),
        "prompt_id": st.sampled_from(["a_mug", "x", "a_car-2"]),
    },
)
SOUND_CELLS = st.tuples(st.sampled_from(["a mug", "a car"]), st.sampled_from(["", "7", "7.0"]), st.just("x")).map(list)
OBJECTS = SOUND | st.dictionaries(st.sampled_from([*NAMES, "Prompt", "artist"]) | TEXTS, JSON, max_size=5)
LINES = st.lists(TEXTS, max_size=8) | st.lists(st.sampled_from(["a mug", "A mug!", "椅子", "# a", ""]), max_size=8)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\ufeff"])


@st.composite
def json_sources(draw: st.DrawFn) -> bytes:
    rows = draw(st.lists(SOUND, min_size=1, max_size=5) | st.lists(OBJECTS, max_size=5))
    if draw(st.booleans()):
        return json.dumps(rows, indent=draw(st.sampled_from([None, 1]))).encode()
    return draw(ENDS).join(map(json.dumps, rows)).encode()


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    separator = draw(st.sampled_from([",", ";", "\t"]))
    header = draw(st.lists(st.sampled_from([*NAMES, "Seed ", "", "artist"]), max_size=5))
    cells = st.one_of(TEXTS, st.integers().map(str), st.floats().map(str), st.sampled_from(["a mug", "7", '"', '"a "']))
    rows = draw(st.lists(st.lists(cells, max_size=len(header) + 2), max_size=6))
    if draw(st.booleans()):
        header, rows = ["seed", "tags"], draw(st.lists(SOUND_CELLS, min_size=1, max_size=6))
    lines = [separator.join(row) for row in [["prompt", *header], *rows]]
    return draw(ENDS).join(lines).encode("utf-8", "surrogatepass")


def encoded(drawn: tuple[list[str], str, str]) -> bytes:
    lines, end, encoding = drawn
    return end.join(lines).encode(encoding, "ignore" if encoding == "cp1252" else "surrogatepass")


@st.composite
def sources(draw: st.DrawFn) -> tuple[str, bytes]:
    """Name and bytes, some of them damaged or in another encoding than their name promises."""
    data = draw(
        st.one_of(
            json_sources(),
            tables(),
            st.tuples(LINES, ENDS, st.sampled_from(["utf-8", "utf-16", "utf-32", "cp1252"])).map(encoded),
            st.binary(max_size=60),
        )
    )
    if data and draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 3)) :]
    return f"prompts{draw(st.sampled_from([*KINDS, '.CSV', '.md']))}", data


def require_manifest_or_refusal(folder: Path, drawn: list[tuple[str, bytes]]) -> None:
    """The property itself, for several sources at once."""
    target = folder / "m.parquet"
    target.unlink(missing_ok=True)
    paths = [folder / f"{number}-{name}" for number, (name, _) in enumerate(drawn)]
    for path, (_, data) in zip(paths, drawn, strict=True):
        path.write_bytes(data)

    reason, made = "", None
    try:
        made = make_manifest([str(path) for path in paths], str(target))
    except ManifestError as error:
        reason = str(error)

    event("refused" if made is None else "made")
    if made is None:
        assert not target.exists()
        assert re.match(rf"{folder}|\d+ faults, nothing is written\n", reason)
        return
    report = scan(target)
    assert report.num_rows == report.num_prompts == made.num_prompts > 0
    assert len({prompt.prompt_id for prompt in read_prompts(target, report.skip_rows)}) == made.num_prompts


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(sources(), min_size=1, max_size=2))
def test_41_any_source_is_a_manifest_or_refused(
    tmp_path: Path, tried: Callable[[], None], drawn: list[tuple[str, bytes]]
) -> None:
    tried()
    require_manifest_or_refusal(tmp_path, drawn)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=st.lists(sources(), min_size=1, max_size=2))
def test_any_of_thousands_of_sources_is_a_manifest_or_refused(
    tmp_path: Path, tried: Callable[[], None], drawn: list[tuple[str, bytes]]
) -> None:
    tried()
    require_manifest_or_refusal(tmp_path, drawn)
