"""Entries of a library: every outcome under every prompt id that it answers.

The projections are made from it, each in its own order, while the outcomes are read only once.
"""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from dreamfoundry.library.library import decided_order
from dreamfoundry.library.rows import BAD_ROW, Row, tags_from_text, tags_text
from dreamfoundry.records import Outcome, OutcomeState

Pair = tuple[str, str]
"""(prompt id, asset key)."""


class Entry(NamedTuple):
    """An outcome under one prompt id: a row of the catalog.

    `tags` and `priority` are those of the row as it was last seen. `is_current` says that it is the published
    outcome of this prompt id that was decided last: the one that `latest.json` names. `also` are further prompt
    ids of the same outcome, where entries stand for outcomes (`Entries.latest`).
    """

    prompt_id: str
    outcome: Outcome
    tags: tuple[str, ...] = ()
    priority: int = 0
    is_current: bool = False
    also: tuple[str, ...] = ()


class Entries:
    """The entries of `outcomes`, with `aliases` for prompt ids beyond the outcomes' own.

    `recorded` gives them tags and priorities: of several for one entry the last counts. They lie in a temporary
    file, so that memory does not grow with the library. Use as a context manager. Not for several threads.
    """

    def __init__(self, outcomes: Iterable[Outcome], aliases: Iterable[Pair], recorded: Iterable[Row] = ()) -> None:
        self._table = sqlite3.connect("")  # a file without a name, gone with the connection
        self._table.executescript(
            """
            CREATE TABLE outcomes
                (asset_key TEXT NOT NULL UNIQUE, prompt_id TEXT, state TEXT, decided_at TEXT, pickled BLOB);
            CREATE TABLE entries
                (prompt_id TEXT, asset_key TEXT, tags TEXT DEFAULT '[]', priority INT DEFAULT 0,
                 is_new INT DEFAULT 0, is_cataloged INT DEFAULT 0, PRIMARY KEY (prompt_id, asset_key))
                WITHOUT ROWID;
            CREATE TABLE current (prompt_id TEXT PRIMARY KEY, asset_key TEXT, decided TEXT) WITHOUT ROWID;
            CREATE TABLE bad_rows (asset_key TEXT PRIMARY KEY, prompt_id TEXT, is_found INT DEFAULT 0) WITHOUT ROWID;
            CREATE TABLE rows
                (prompt_id TEXT, asset_key TEXT, tags TEXT, priority INT, PRIMARY KEY (prompt_id, asset_key))
                WITHOUT ROWID;
            """
        )

        for outcome in outcomes:
            self.take(outcome)
        self.complete(aliases, recorded)

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()

    def complete(self, aliases: Iterable[Pair], recorded: Iterable[Row]) -> None:
        """Make entries of all outcomes, with what is recorded beside them. Can be repeated when there is more."""
        own = "SELECT prompt_id, asset_key FROM outcomes"
        self._table.execute(f"INSERT OR IGNORE INTO entries (prompt_id, asset_key) {own}")
        self._table.executemany(
            "INSERT OR IGNORE INTO entries (prompt_id, asset_key) SELECT ?, asset_key FROM outcomes "
            "WHERE asset_key = ?",
            aliases,
        )
        self._table.executemany(
            "UPDATE entries SET tags = ?, priority = ? WHERE prompt_id = ? AND asset_key = ?",
            ((tags_text(row.tags), row.priority, row.prompt_id, row.asset_key) for row in recorded),
        )

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome once."""
        rows = self._table.execute("SELECT pickled FROM outcomes ORDER BY rowid")
        return (pickle.loads(pickled) for (pickled,) in rows)

    def add(self, rows: Iterable[Row], bad_rows: Iterable[str] = ()) -> None:
        """Add what a run has seen: its sound rows, also those without an outcome, and the keys of its bad ones."""
        self._table.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
            ((row.prompt_id, row.asset_key, tags_text(row.tags), row.priority) for row in rows),
        )
        self._table.execute(
            "INSERT OR IGNORE INTO entries (prompt_id, asset_key, is_new) SELECT rows.prompt_id, asset_key, 1 "
            "FROM rows JOIN outcomes USING (asset_key)"
        )
        self._table.executemany("UPDATE bad_rows SET is_found = 1 WHERE asset_key = ?", ((key,) for key in bad_rows))

    def new_pairs(self) -> Iterator[Pair]:
        """The prompt ids of added rows that were not known to have their outcome, by asset key."""
        return self._table.execute(
            "SELECT prompt_id, asset_key FROM entries WHERE is_new ORDER BY asset_key, prompt_id"
        )

    def take_changes(self) -> Iterator[Row]:
        """Give the entries of added rows their tags and priorities; returns those that had others."""
        self._table.executescript(
            """
            CREATE TEMP TABLE changes AS
                SELECT prompt_id, asset_key, rows.tags, rows.priority
                FROM rows JOIN entries USING (prompt_id, asset_key)
                WHERE (rows.tags, rows.priority) != (entries.tags, entries.priority) ORDER BY 1, 2;
            UPDATE entries SET tags = changes.tags, priority = changes.priority FROM changes
                WHERE entries.prompt_id = changes.prompt_id AND entries.asset_key = changes.asset_key;
            """
        )
        changes = self._table.execute("SELECT prompt_id, asset_key, tags, priority FROM changes ORDER BY rowid")
        return (Row(prompt_id, key, tags_from_text(tags), priority) for prompt_id, key, tags, priority in changes)

    def superseded_bad_rows(self) -> frozenset[str]:
        """Bad rows that are not among the added ones although their prompt ids are: they were mended, or changed."""
        keys = self._table.execute(
            "SELECT asset_key FROM bad_rows WHERE NOT is_found AND prompt_id IN "
            "(SELECT prompt_id FROM rows UNION ALL SELECT prompt_id FROM bad_rows WHERE is_found)"
        )
        return frozenset(key for (key,) in keys)

    def drop(self, bad_rows: Collection[str]) -> None:
        """Leave out these bad rows, by asset key."""
        keys = [(key,) for key in bad_rows]
        self._table.executemany(
            "DELETE FROM entries WHERE (prompt_id, asset_key) IN "
            "(SELECT prompt_id, asset_key FROM bad_rows WHERE asset_key = ?)",
            keys,
        )
        self._table.executemany(
            "DELETE FROM outcomes WHERE asset_key IN (SELECT asset_key FROM bad_rows WHERE asset_key = ?)", keys
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

    def latest(self, limit: int) -> Iterator[Entry]:
        """At most `limit` outcomes: those published last, then those quarantined last; by state and prompt id.

        Each comes once, under its own prompt id, with the names of the others and the tags of all.
        """
        self._table.executescript(
            f"""
            DROP TABLE IF EXISTS latest;
            CREATE TEMP TABLE latest AS SELECT rowid AS place, asset_key FROM outcomes
                ORDER BY state, decided_at DESC, asset_key DESC LIMIT {limit:d};
            """
        )
        more: dict[str, dict[str, None]] = {}
        also: dict[str, list[str]] = {}
        others = (
            "SELECT entries.prompt_id, asset_key, tags FROM entries JOIN latest USING (asset_key) "
            "JOIN outcomes USING (asset_key) WHERE entries.prompt_id != outcomes.prompt_id ORDER BY 1"
        )
        for prompt_id, asset_key, tags in self._table.execute(others):
            also.setdefault(asset_key, []).append(prompt_id)
            more.setdefault(asset_key, {}).update(dict.fromkeys(tags_from_text(tags)))

        # the plus: outcomes are to be found by the key of each entry, and not among all the latest for each of them
        found = self._select(
            "WHERE entries.prompt_id = outcomes.prompt_id AND +outcomes.rowid IN (SELECT place FROM latest)", "state, "
        )
        for entry in found:
            key = entry.outcome.asset_key
            tags = dict.fromkeys((*entry.tags, *more.get(key, ())))
            yield entry._replace(tags=tuple(tags), also=tuple(also.get(key, ())))

    def take(self, outcome: Outcome) -> None:
        """Take an outcome, which has its entries after the next `complete`."""
        decided_at, asset_key = decided_order(outcome)
        # our own bytes, in a file that nobody else can open: JSON would take ten times as long
        values = (asset_key, outcome.prompt_id, outcome.state, decided_at, pickle.dumps(outcome))
        self._table.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)", values)
        if outcome.failure_class == BAD_ROW:
            self._table.execute(
                "INSERT OR REPLACE INTO bad_rows (asset_key, prompt_id) VALUES (?, ?)", (asset_key, outcome.prompt_id)
            )

    def _select(self, condition: str, first: str = "") -> Iterator[Entry]:
        self._note_current()
        rows = self._table.execute(
            # CROSS JOIN keeps the order of entries, so that nothing is sorted
            "SELECT entries.prompt_id, pickled, tags, priority, current.asset_key IS entries.asset_key "
            "FROM entries CROSS JOIN outcomes USING (asset_key) "
            f"LEFT JOIN current ON current.prompt_id = entries.prompt_id {condition} "
            f"ORDER BY {first} entries.prompt_id, entries.asset_key"
        )
        return (
            Entry(prompt_id, pickle.loads(pickled), tags_from_text(tags), priority, bool(is_current))
            for prompt_id, pickled, tags, priority, is_current in rows
        )

    def _note_current(self) -> None:
        self._table.execute("DELETE FROM current")
        self._table.execute(
            # of the columns beside max() SQLite takes the values of the row that has it; a space comes before all
            # other characters of times and keys, so that they are compared as `decided_order` does
            "INSERT INTO current SELECT entries.prompt_id, asset_key, max(decided_at || ' ' || asset_key) "
            "FROM entries CROSS JOIN outcomes USING (asset_key) WHERE state = 'published' GROUP BY entries.prompt_id"
        )
