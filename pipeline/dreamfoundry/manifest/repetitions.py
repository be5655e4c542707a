"""Repeated, conflicting and nearly equal prompt ids, found in 32 bytes a row: digests in a flat array."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dreamfoundry.errors import Stopped
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Prompt

_NUM_BUCKETS = 16
_NUM_EXAMPLES = 3
_WINDOWS_NAME = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*\.", re.IGNORECASE)


class RowPairs:
    """Rows in ascending order, each with the earlier row whose id it has; 16 bytes for each."""

    def __init__(self, pairs: npt.NDArray[np.uint64] | None = None) -> None:
        """`pairs` has a line (row, earlier row) for each, in any order."""
        found = np.empty((0, 2), "<u8") if pairs is None else pairs
        self._pairs = found[np.argsort(found[:, 0], kind="stable")]

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowPairs) and np.array_equal(self._pairs, other._pairs)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(row, earlier row)."""
        return ((int(row), int(earlier)) for row, earlier in self._pairs)

    @property
    def rows(self) -> Iterator[int]:
        """The later rows alone."""
        return map(int, self._pairs[:, 0])


@dataclass(frozen=True)
class Repetitions:
    """Rows that equal an earlier one, and rows in `conflicts` with the first of their id: their content is another.

    Of pairs of rows whose ids differ in case only, `twins` has the first few.
    """

    repeated: RowPairs
    conflicts: RowPairs
    num_twins: int
    twins: tuple[tuple[int, int], ...]


class RowDigests:
    """The digests of all sound rows."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._repeated = array("Q")
        self.num_windows_names = 0
        self.windows_names: list[str] = []

    @property
    def num_rows(self) -> int:
        return len(self._bytes) // 32 + len(self._repeated) // 2

    def add(self, row: int, digests: bytes) -> None:
        """Note that `row` has a prompt with these `prompt_digests`."""
        self._bytes += digests + row.to_bytes(8, "little")

    def add_repetition(self, row: int, earlier: int) -> None:
        """Note that `row` equals an earlier one."""
        self._repeated.extend((row, earlier))

    def note_name(self, prompt_id: str) -> None:
        """Count a prompt id that Windows cannot hold as a name of a file."""
        if prompt_id[-1] == "." or _WINDOWS_NAME.fullmatch(prompt_id):
            self.num_windows_names += 1
            if len(self.windows_names) < _NUM_EXAMPLES:
                self.windows_names.append(prompt_id)

    def repetitions(self, should_stop: Callable[[], bool]) -> Repetitions:
        """Compare all rows; `should_stop` is asked several times."""
        table = np.frombuffer(self._bytes, dtype="<u8").reshape(-1, 4)
        repeated = [np.asarray(self._repeated, dtype="<u8").reshape(-1, 2)]
        conflicts: list[npt.NDArray[np.uint64]] = []
        twins: list[tuple[int, int]] = []
        num_twins = 0

        # equal names, and names equal but for the case, share a bucket: a sort of all rows at once would take long
        for bucket in range(_NUM_BUCKETS):
            if should_stop():
                raise Stopped("while the rows of the manifest were compared")
            part = table[table[:, 0] % _NUM_BUCKETS == bucket]
            if not len(part):
                continue
            part = part[np.lexsort((part[:, 3], part[:, 1], part[:, 0]))]
            is_later = np.concatenate(([False], (part[1:, :2] == part[:-1, :2]).all(axis=1)))

            # each row beside the first one of its name
            first_of = np.maximum.accumulate(np.where(is_later, 0, np.arange(len(part))))
            pairs, is_other = np.column_stack((part[:, 3], part[first_of, 3])), part[:, 2] != part[first_of, 2]
            repeated.append(pairs[is_later & ~is_other])
            conflicts.append(pairs[is_later & is_other])

            first = np.flatnonzero(~is_later)
            near = np.flatnonzero(part[first[1:], 0] == part[first[:-1], 0])
            num_twins += len(near)
            twins += [(int(part[first[at], 3]), int(part[first[at + 1], 3])) for at in near[:_NUM_EXAMPLES]]

        return Repetitions(
            repeated=RowPairs(np.concatenate(repeated)),
            conflicts=RowPairs(np.concatenate(conflicts) if conflicts else None),
            num_twins=num_twins,
            twins=tuple(sorted(twins)[:_NUM_EXAMPLES]),
        )


def prompt_digests(prompt: Prompt) -> bytes:
    """Digests of the id without its case, of the id as it is, and of the content: 8 bytes each.

    Ids are equal where the first two are.
    """
    name, folded = prompt.prompt_id, prompt.prompt_id.lower()
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    folded_digest = digest if folded == name else hashlib.blake2b(folded.encode(), digest_size=16).digest()
    content = repr(
        (
            prompt.text,
            prompt.negative_text,
            prompt.seed,
            prompt.priority,
            prompt.tags,
            prompt.target_height_m,
            prompt.budget_profile,
            canonical_json(prompt.view_texts) if prompt.view_texts else b"",
            canonical_json(prompt.overrides) if prompt.overrides else b"",
        )
    )
    return folded_digest[:8] + digest[8:] + hashlib.blake2b(content.encode(), digest_size=8).digest()
