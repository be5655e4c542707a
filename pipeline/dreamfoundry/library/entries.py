"""Entries of a library: every outcome under every prompt id that it answers.

The projections are made from it, each in its own order, while the outcomes are read only once.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterable, Iterator

from dreamfoundry.library.library import decided_order
from dreamfoundry.records import Outcome, OutcomeState

Pair = tuple[str, str]
"""(prompt id, asset key)."""

Entry = tuple[str, Outcome]
"""An outcome under one prompt id: a row of the catalog."""


class Entries:
    """The entries of `outcomes`, with `aliases` for prompt ids beyond the outcomes' own.

    They lie in a temporary file, so that memory does not grow with the library. Use as a context
    manager. Not for several threads.
    """

    def __init__(self, outcomes: Iterable[Outcome], aliases: Iterable[Pair]) -> None:
        self._table = sqlite3.connect("")  # a file without a name, gone with the connection
        self._table.executescript(
            """
            CREATE TABLE outcomes
                (asset_key TEXT NOT NULL UNIQUE, prompt_id TEXT, state TEXT, decided_at TEXT, pickled BLOB);
            CREATE TABLE entries
                (prompt_id TEXT, asset_key TEXT, is_new INT, is_cataloged INT, PRIMARY KEY (prompt_id, asset_key))
                WITHOUT ROWID;
            """
        )
        self._table.executemany("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)", map(_row, outcomes))
        self._table.execute("INSERT INTO entries SELECT prompt_id, asset_key, 0, 0 FROM outcomes ORDER BY 1, 2")
        self._add(aliases, is_new=False)

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def add(self, rows: Iterable[Pair]) -> Iterator[Pair]:
        """Add the prompt ids of `rows`; returns the pairs that have an outcome and were not known."""
        self._add(rows, is_new=True)
        return self._table.execute(
            "SELECT prompt_id, asset_key FROM entries WHERE is_new ORDER BY asset_key, prompt_id"
        )

    def __iter__(self) -> Iterator[Entry]:
        """All entries by prompt id, then asset key."""
        return self._select("")

    def mark_cataloged(self, pairs: Iterable[Pair]) -> None:
        """Take note that these have their named views."""
        self._table.executemany("UPDATE entries SET is_cataloged = 1 WHERE prompt_id = ? AND asset_key = ?", pairs)

    def published(self, *, unless_cataloged: bool = False) -> Iterator[Entry]:
        """Those that are to have a named view, by prompt id, then asset key."""
        return self._select("WHERE state = 'published'" + " AND NOT is_cataloged" * unless_cataloged)

    def has_published(self, prompt_id: str, asset_key: str) -> bool:
        """True where a named view of these is among the published entries."""
        rows = self._table.execute(
            "SELECT 1 FROM entries JOIN outcomes USING (asset_key) "
            "WHERE entries.prompt_id = ? AND asset_key = ? AND state = 'published'",
            (prompt_id, asset_key),
        )
        return rows.fetchone() is not None

    def count(self, state: OutcomeState) -> int:
        """The outcomes in a state, each counted once."""
        (number,) = self._table.execute("SELECT count(*) FROM outcomes WHERE state = ?", (state,)).fetchone()
        return int(number)

    def latest(self, limit: int) -> Iterator[Outcome]:
        """At most `limit` outcomes: those published last, then those quarantined last; by state and prompt id."""
        rows = self._table.execute(
            """
            SELECT pickled FROM outcomes WHERE rowid IN
                (SELECT rowid FROM outcomes ORDER BY state, decided_at DESC, asset_key DESC LIMIT ?)
            ORDER BY state, prompt_id, asset_key
            """,
            (limit,),
        )
        return (pickle.loads(pickled) for (pickled,) in rows)

    def _add(self, pairs: Iterable[Pair], *, is_new: bool) -> None:
        self._table.executemany(
            "INSERT OR IGNORE INTO entries SELECT ?, asset_key, ?, 0 FROM outcomes WHERE asset_key = ?",
            ((prompt_id, is_new, asset_key) for prompt_id, asset_key in pairs),
        )

    def _select(self, condition: str) -> Iterator[Entry]:
        rows = self._table.execute(
            # CROSS JOIN keeps the order of entries, so that nothing is sorted
            f"SELECT entries.prompt_id, pickled FROM entries CROSS JOIN outcomes USING (asset_key) {condition} "
            "ORDER BY entries.prompt_id, entries.asset_key"
        )
        return ((prompt_id, pickle.loads(pickled)) for prompt_id, pickled in rows)


def _row(outcome: Outcome) -> tuple[str, str, str, str, bytes]:
    decided_at, asset_key = decided_order(outcome)
    # our own bytes, in a file that nobody else can open: JSON would take ten times as long
    return asset_key, outcome.prompt_id, outcome.state, decided_at, pickle.dumps(outcome)
