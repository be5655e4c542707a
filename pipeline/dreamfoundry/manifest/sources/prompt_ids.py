"""Ids from the words of prompts, so that they stay when lines come and go; rows that repeat one another.

`a_red_mushroom` is the first prompt of these words, `a_red_mushroom-2` the next that differs in anything else.
Words that do not fit into a name (other scripts, more than 40 characters) are told by a digest behind it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from itertools import count

from dreamfoundry.identity import slug
from dreamfoundry.manifest.sources.reading import Fault, SourceRow, Values
from dreamfoundry.manifest.text import with_single_spaces

_DEFAULTS: Values = {"seed": 0, "priority": 0, "target_height_m": 1.0, "negative_prompt": "", "tags": []}


def words_id(text: str) -> str:
    """The id of a prompt by its words alone: `a_red_mushroom` for "A red mushroom!"."""
    clean = with_single_spaces(text)
    name = slug(clean)
    if _tells_all(clean, name):
        return name
    return f"{name}-{hashlib.sha256(clean.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def name_rows(rows: Sequence[SourceRow]) -> tuple[list[SourceRow], list[Fault], list[str]]:
    """`rows` with an id each, the faults of those that contradict another one, and warnings about repetitions.

    A row that repeats another one, id and all, is left out: equal rows are one prompt, as in Parquet.
    """
    holders: dict[str, tuple[SourceRow, bytes]] = {}
    repeated: list[tuple[SourceRow, SourceRow]] = []
    faults: list[Fault] = []
    contradicting: list[SourceRow] = []

    # ids that were given come first: no made one may take their place, wherever they stand
    for row in rows:
        prompt_id = row.values.get("prompt_id")
        if prompt_id is None:
            continue
        content = _content(row.values)
        first, first_content = holders.setdefault(prompt_id, (row, content))
        if first is not row and content == first_content:
            repeated.append((row, first))
        elif first is not row:
            rule = f"stands in {first.place} too, with other content: give each prompt an id of its own"
            faults.append(Fault(row.place, prompt_id, f"prompt_id {rule}"))
            contradicting.append(row)

    numbers: defaultdict[str, count[int]] = defaultdict(lambda: count(2))
    made: dict[tuple[str, bytes], SourceRow] = {}
    names: dict[int, str] = {}
    for row in rows:
        if row.values.get("prompt_id") is not None:
            continue
        words, content = words_id(row.values["prompt"]), _content(row.values)
        prompt_id = words
        while (words, content) not in made and prompt_id in holders and holders[prompt_id][1] != content:
            prompt_id = f"{words}-{next(numbers[words])}"
        first = made.setdefault((words, content), holders.setdefault(prompt_id, (row, content))[0])
        if first is not row:
            repeated.append((row, first))
        names[id(row)] = prompt_id

    left_out = {id(row) for row, _ in repeated} | {id(row) for row in contradicting}
    named = [
        SourceRow(row.place, {"prompt_id": names.get(id(row)), **row.values}) for row in rows if id(row) not in left_out
    ]
    return named, faults, _warnings(repeated)


def _tells_all(text: str, name: str) -> bool:
    """True if no letter, digit or sign of `text` is missing in its slug; accents, case and punctuation may be."""
    if not any(char.isalnum() for char in text) or slug(text, len(text) + 2) != name:
        return False
    signs = (char for char in unicodedata.normalize("NFKD", text) if not char.isascii())
    return all(unicodedata.category(sign)[0] in "MPZ" for sign in signs)


def _content(values: Values) -> bytes:
    """A digest of all that a row says but its id, as the reader will see it."""
    said = {
        column: _clean(value)
        for column, value in values.items()
        if column != "prompt_id" and value != _DEFAULTS.get(column)
    }
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).digest()


def _clean(value: object) -> object:
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return with_single_spaces(value) if isinstance(value, str) else value


def _warnings(repeated: Sequence[tuple[SourceRow, SourceRow]]) -> list[str]:
    """A word about rows that were left out, in the order of the sources."""
    if not repeated:
        return []
    row, first = repeated[0]
    others = f", and {len(repeated) - 1} more rows repeat others" if len(repeated) > 1 else ""
    return [f"{row.place} repeats {first.place}{others}: equal rows are one prompt"]
