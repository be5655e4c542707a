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

_DEFAULTS: Values = {"seed": 0, "priority": 0, "negative_prompt": "", "tags": []}


def words_id(text: str) -> str:
    """The id of a prompt by its words alone: `a_red_mushroom` for "A red mushroom!"."""
    clean = with_single_spaces(text)
    name = slug(clean)
    if _tells_all(clean, name):
        return name
    return f"{name}-{hashlib.sha256(clean.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def name_rows(rows: Sequence[SourceRow]) -> tuple[list[SourceRow], list[Fault], list[str]]:
    """Give an id to each of `rows` that has none; the rows of a manifest, faults, and a warning about repetitions.

    A row that repeats another one, id and all, is left out: equal rows are one prompt, as in Parquet. One that has
    the id of another and other content is a fault, and left out too.
    """
    names = _Names()
    unnamed = [row for row in rows if "prompt_id" not in row.values]

    # ids that were given come first: no made one may take their place, wherever they stand
    for row in rows:
        if "prompt_id" in row.values:
            names.keep(row)
    for row in unnamed:
        names.make(row)

    left_out = {id(row) for row, _ in (*names.repeated, *names.contradicting)}
    rule = "prompt_id stands in {} too, with other content: give each prompt an id of its own"
    faults = [Fault(row.place, row.values["prompt_id"], rule.format(first.place)) for row, first in names.contradicting]
    return [row for row in rows if id(row) not in left_out], faults, _warnings(names.repeated)


class _Names:
    """Ids and the rows that have them; pairs of a later row and the one that it repeats or contradicts."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[bytes, SourceRow]] = {}
        self._made: dict[bytes, SourceRow] = {}
        self._numbers: defaultdict[str, count[int]] = defaultdict(lambda: count(2))
        self.repeated: list[tuple[SourceRow, SourceRow]] = []
        self.contradicting: list[tuple[SourceRow, SourceRow]] = []

    def keep(self, row: SourceRow) -> None:
        """Note the id that a row was given."""
        content = _content(row.values)
        held, first = self._holders.setdefault(row.values["prompt_id"], (content, row))
        if first is not row:
            (self.repeated if held == content else self.contradicting).append((row, first))

    def make(self, row: SourceRow) -> None:
        """Give a row the id of its words, with a number where another content has it."""
        content = _content(row.values)
        first = self._made.get(content)
        if first is None:
            words = prompt_id = words_id(row.values["prompt"])
            while self._holders.setdefault(prompt_id, (content, row))[0] != content:
                prompt_id = f"{words}-{next(self._numbers[words])}"
            row.values["prompt_id"] = prompt_id
            first = self._made[content] = self._holders[prompt_id][1]
        if first is not row:
            self.repeated.append((row, first))


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
