"""Repeated, contradicting and nearly equal prompt ids, found in 32 bytes a row: digests in a flat array."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dreamfoundry.errors import Stopped
from dreamfoundry.identity import canonical_json
from dreamfoundry.records import Prompt

_NUM_BUCKETS = 16
_NUM_EXAMPLES = 3
_WINDOWS_NAME = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|.*\.", re.IGNORECASE)


@dataclass(frozen=True)
class Repetitions:
    """Rows that repeat an earlier one, and pairs of rows that contradict each other or differ in the case of their id.

    Of contradictions the first pair is told, of `twins` the first few.
    """

    repeated: tuple[int, ...]
    contradicting: tuple[int, int] | None
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
        return len(self._bytes) // 32 + len(self._repeated)

    def add(self, row: int, digests: bytes) -> None:
        """Note that `row` has a prompt with these `prompt_digests`."""
        self._bytes += digests + row.to_bytes(8, "little")

    def add_repetition(self, row: int) -> None:
        """Note that `row` equals an earlier one."""
        self._repeated.append(row)

    def note_name(self, prompt_id: str) -> None:
        """Count a prompt id that Windows cannot hold as a name of a file."""
        if prompt_id[-1] == "." or _WINDOWS_NAME.fullmatch(prompt_id):
            self.num_windows_names += 1
            if len(self.windows_names) < _NUM_EXAMPLES:
                self.windows_names.append(prompt_id)

    def repetitions(self, should_stop: Callable[[], bool]) -> Repetitions:
        """Compare all rows; `should_stop` is asked several times."""
        table = np.frombuffer(self._bytes, dtype="<u8").reshape(-1, 4)
        repeated = [np.asarray(self._repeated, dtype="<u8")]
        contradicting: list[tuple[int, int]] = []
        twins: list[tuple[int, int]] = []
        num_twins = 0

        # equal names, and names equal but for the case, share a bucket: a sort of all rows at once would take long
        for bucket in range(_NUM_BUCKETS):
            if should_stop():
                raise Stopped("while the rows of the manifest were compared")
            part = table[table[:, 0] % _NUM_BUCKETS == bucket]
            part = part[np.lexsort((part[:, 3], part[:, 1], part[:, 0]))]
            rows, same_name = part[:, 3], (part[1:, :2] == part[:-1, :2]).all(axis=1)
            repeated.append(rows[1:][same_name])

            differing = np.flatnonzero(same_name & (part[1:, 2] != part[:-1, 2]))
            if differing.size:
                at = differing[np.argmin(rows[1:][differing])]
                contradicting.append((int(rows[at]), int(rows[at + 1])))

            first = np.flatnonzero(np.concatenate(([True], ~same_name))) if len(part) else np.empty(0, np.int64)
            near = np.flatnonzero(part[first[1:], 0] == part[first[:-1], 0])
            num_twins += len(near)
            twins += [(int(rows[first[at]]), int(rows[first[at + 1]])) for at in near[:_NUM_EXAMPLES]]

        return Repetitions(
            repeated=tuple(np.sort(np.concatenate(repeated)).tolist()),
            contradicting=min(contradicting, key=lambda pair: pair[1], default=None),
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
