"""From rows to builds: resolved recipes, keys, existing assets. Writes nothing to the library, no torch."""

from __future__ import annotations

import dataclasses
import pickle
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from dreamfoundry.distill.successive_halving import planned_steps
from dreamfoundry.library.library import Library, decided_order
from dreamfoundry.library.projections import OnProgress, catalog_entries, counted
from dreamfoundry.library.rows import BAD_ROW, Row, mended_rows, tags_from_text, tags_text
from dreamfoundry.object_store.protocol import at_once
from dreamfoundry.records import Outcome, OutcomeState, Prompt
from dreamfoundry.run.messages import Build
from dreamfoundry.run.outcomes import standing_outcome
from dreamfoundry.run.planning.resolution import PlanInputs, Resolver

T = TypeVar("T")

EVERY_CLASS = "all"
"""A retry of this class retries every failure class."""


@dataclass(frozen=True)
class Tally:
    """Rows of a manifest by state. `skipped` were decided elsewhere: before, or by another run.

    `failure_classes` counts all quarantined rows, of this run and of others.
    """

    published: int
    quarantined: int
    skipped: int
    pending: int
    failure_classes: Mapping[str, int]


@dataclass(frozen=True)
class Remaining:
    """Assets whose field exists and only has to be exported; fields to optimise, and their steps if none fails."""

    num_exports: int
    num_fields: int
    num_steps: int


_STANDING = "SELECT asset_key FROM decided WHERE asset_key IN (SELECT asset_key FROM rows)"
_IN_CATALOG_AS_PUBLISHED = f"{_STANDING} AND asset_key IN (SELECT asset_key FROM catalog WHERE state = 'published')"


class Plan:
    """The work of a run and its state: the asset key of every row, the end of every key.

    It is kept in a temporary file, so that memory does not grow with the manifest. `prompts` is read once: from
    then on a build is known by its key, never by its place. Outcomes that exist are left alone, except
    quarantined ones of `retry_class` (EVERY_CLASS for all). Rows that ask for the same asset share one build.
    `on_progress` is told what is counted ("rows planned") and how many so far, often; what it raises ends the
    planning. Not for several threads.
    """

    def __init__(
        self,
        prompts: Iterable[Prompt],
        library: Library,
        inputs: PlanInputs,
        *,
        retry_class: str = "",
        on_progress: OnProgress = lambda counted, number: None,
    ) -> None:
        self._library, self._resolver, self._on_progress = library, Resolver(inputs), on_progress
        self._has_changed = False  # an outcome, since the catalog was written

        self._table = sqlite3.connect("")  # a file without a name, gone with the connection
        self._table.executescript(
            """
            CREATE TABLE rows (asset_key TEXT NOT NULL, prompt_id TEXT NOT NULL, tags TEXT, priority INT);
            CREATE TABLE requests
                (asset_key TEXT PRIMARY KEY, row INT, priority INT, pickled BLOB, field_key TEXT, num_steps INT);
            CREATE TABLE stored (field_key TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE ends (asset_key TEXT PRIMARY KEY, state TEXT, failure_class TEXT, is_ours INT) WITHOUT ROWID;
            CREATE TABLE decided (asset_key TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE mended (asset_key TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE bad (asset_key TEXT PRIMARY KEY) WITHOUT ROWID;
            CREATE TABLE catalog
                (asset_key TEXT, prompt_id TEXT, state TEXT, failure_class TEXT, created_at TEXT, tags TEXT,
                 priority INT, PRIMARY KEY (asset_key, prompt_id)) WITHOUT ROWID;
            """
        )

        for row, prompt in enumerate(self._counted("rows planned", prompts)):
            self._add(row, prompt)
        self._table.execute("CREATE INDEX rows_by_key ON rows (asset_key)")
        self._table.execute("CREATE INDEX requests_by_urgency ON requests (priority DESC, row)")

        # the catalog as it stands, and the keys that have an outcome
        cataloged = self._counted("rows of the catalog read", catalog_entries(library))
        self._table.executemany(
            "INSERT INTO catalog (prompt_id, asset_key, state, failure_class, created_at, tags, priority) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((*entry[:-2], tags_text(entry.tags), entry.priority) for entry in cataloged),
        )
        self._table.executemany("INSERT INTO mended VALUES (?)", ((key,) for key in mended_rows(library)))
        decided = self._counted("outcomes listed", library.decided())
        self._table.executemany("INSERT INTO decided VALUES (?)", ((key,) for key in decided))
        self._retried = self._note_standing(retry_class)

    @property
    def num_builds(self) -> int:
        """Assets that have not ended yet."""
        return int(
            self._one("SELECT count(DISTINCT asset_key) FROM rows WHERE asset_key NOT IN (SELECT asset_key FROM ends)")
        )

    @property
    def num_rows(self) -> int:
        """Rows of the manifest that are prompts, each id once."""
        return self._one("SELECT count(*) FROM rows")

    def builds(self) -> Iterator[Build]:
        """The assets to make, the most urgent first, then in the order of their first rows.

        What the library has of them is asked for as they are taken, several at a time.
        """
        return at_once(self._with_what_is_stored, self._open_builds())

    def _open_builds(self) -> Iterator[Build]:
        keys = self._table.execute("SELECT asset_key, priority, pickled FROM requests ORDER BY priority DESC, row")
        for asset_key, priority, pickled in keys:
            if self._has_ended(asset_key):
                continue
            query = "SELECT prompt_id, tags FROM rows WHERE asset_key = ? ORDER BY rowid"
            same = self._table.execute(query, (asset_key,)).fetchall()
            tags = dict.fromkeys(tag for _, text in same for tag in tags_from_text(text))
            prompt = dataclasses.replace(pickle.loads(pickled), priority=priority, tags=tuple(tags))
            resolved = self._resolver.resolve(prompt)
            yield Build(
                asset_key=resolved.asset_key,
                field_key=resolved.field_key,
                prompt=prompt,
                prompt_ids=tuple(prompt_id for prompt_id, _ in same),
                recipe=resolved.recipe,
                profile=resolved.profile,
            )

    def _with_what_is_stored(self, build: Build) -> Build:
        """`build` with its field and the outcome that it is to replace. Asks only the library: runs on any thread."""
        retried = build.asset_key in self._retried
        return dataclasses.replace(
            build,
            snapshot=self._library.find_field(build.field_key),
            instead_of=standing_outcome(self._library, build.asset_key) if retried else None,
        )

    def remaining(self, stored: Iterable[str]) -> Remaining:
        """The work that is open, where the library has the fields `stored`."""
        self._table.executemany(
            "INSERT OR IGNORE INTO stored VALUES (?)", ((key,) for key in self._counted("fields listed", stored))
        )
        open_requests = "requests WHERE asset_key NOT IN (SELECT asset_key FROM ends)"
        num_exports = self._one(f"SELECT count(*) FROM {open_requests} AND field_key IN (SELECT field_key FROM stored)")
        num_fields, num_steps = self._table.execute(
            "SELECT count(*), coalesce(sum(num_steps), 0) FROM (SELECT DISTINCT field_key, num_steps "
            f"FROM {open_requests} AND field_key NOT IN (SELECT field_key FROM stored))"
        ).fetchone()
        return Remaining(num_exports, num_fields, num_steps)

    def decide(self, asset_key: str, state: OutcomeState, failure_class: str, *, is_ours: bool) -> None:
        """Note the end of an asset."""
        self._table.execute(
            "INSERT OR REPLACE INTO ends VALUES (?, ?, ?, ?)", (asset_key, state, failure_class, is_ours)
        )

    def rows(self) -> Iterator[Row]:
        """Every row, in the order of the manifest."""
        query = "SELECT prompt_id, asset_key, tags, priority FROM rows ORDER BY rowid"
        for prompt_id, key, tags, priority in self._table.execute(query):
            yield Row(prompt_id, key, tags_from_text(tags), priority)

    def quarantined_rows(self, limit: int) -> list[tuple[str, str]]:
        """(prompt id, asset key) of the first rows that are quarantined."""
        return self._table.execute(
            "SELECT prompt_id, asset_key FROM rows JOIN ends USING (asset_key) "
            "WHERE state = 'quarantined' ORDER BY rows.rowid LIMIT ?",
            (limit,),
        ).fetchall()

    def is_projected(self, bad_rows: Iterable[str] = ()) -> bool:
        """True if catalog and page already hold the state of every row and every outcome.

        `bad_rows` are the asset keys of the manifest's rows that are no prompts.
        """
        if self._has_changed or not self._one("SELECT EXISTS (SELECT 1 FROM catalog)"):
            return False
        self._table.executemany("INSERT OR IGNORE INTO bad VALUES (?)", ((key,) for key in bad_rows))
        shown = "SELECT asset_key FROM decided EXCEPT SELECT asset_key FROM mended"
        news = (
            "SELECT 1 FROM ends WHERE is_ours",
            f"{shown} EXCEPT SELECT asset_key FROM catalog",
            f"SELECT asset_key FROM catalog EXCEPT SELECT * FROM ({shown})",
            "SELECT asset_key, prompt_id, tags, rows.priority FROM rows JOIN ends USING (asset_key) EXCEPT "
            "SELECT asset_key, prompt_id, tags, priority FROM catalog",
            # bad rows that are bad again, or are no longer what they were
            "SELECT asset_key FROM bad EXCEPT SELECT asset_key FROM catalog",
            f"SELECT 1 FROM catalog WHERE failure_class = '{BAD_ROW}' AND asset_key NOT IN (SELECT * FROM bad) AND "
            "prompt_id IN (SELECT prompt_id FROM rows UNION ALL "
            "SELECT prompt_id FROM catalog WHERE asset_key IN (SELECT * FROM bad))",
        )
        return not any(self._one(f"SELECT EXISTS ({query})") for query in news)

    def tally(self) -> Tally:
        """Count the rows."""
        counted = self._table.execute(
            "SELECT CASE WHEN is_ours THEN state WHEN state IS NULL THEN 'pending' ELSE 'skipped' END, count(*) "
            "FROM rows LEFT JOIN ends USING (asset_key) GROUP BY 1"
        )
        counts = Counter(dict(counted))
        classes = self._table.execute(
            "SELECT failure_class, count(*) FROM rows JOIN ends USING (asset_key) "
            "WHERE state = 'quarantined' GROUP BY 1 ORDER BY 1"
        )
        return Tally(counts["published"], counts["quarantined"], counts["skipped"], counts["pending"], dict(classes))

    def _add(self, row: int, prompt: Prompt) -> None:
        """Rows of one asset share a request: the first prompt, the highest urgency, the tags of all."""
        resolved = self._resolver.resolve(prompt)
        key, recipe = resolved.asset_key, resolved.recipe
        self._table.execute(
            "INSERT INTO rows VALUES (?, ?, ?, ?)", (key, prompt.prompt_id, tags_text(prompt.tags), prompt.priority)
        )
        self._table.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (asset_key) DO UPDATE SET priority = max(priority, excluded.priority)",
            # our own bytes, in a file that nobody else can open
            (
                key,
                row,
                prompt.priority,
                pickle.dumps(prompt),
                resolved.field_key,
                planned_steps(recipe.probes, recipe.optimize.num_steps),
            ),
        )

    def _note_standing(self, retry_class: str) -> frozenset[str]:
        """Note the ends of assets that have an outcome; returns the keys to try again.

        An asset published in the catalog stays published. All other outcomes are read: another run may
        have tried again.
        """
        self._table.execute(f"INSERT INTO ends SELECT asset_key, 'published', '', 0 FROM ({_IN_CATALOG_AS_PUBLISHED})")
        unread = self._table.execute(f"{_STANDING} EXCEPT {_IN_CATALOG_AS_PUBLISHED}")
        retried = set()
        standing = at_once(lambda key: standing_outcome(self._library, key), (key for (key,) in unread))
        for outcome in self._counted("outcomes read", (found for found in standing if found is not None)):
            self._has_changed |= not self._is_in_catalog(outcome)
            if outcome.state == "quarantined" and retry_class in (EVERY_CLASS, outcome.failure_class):
                retried.add(outcome.asset_key)
            else:
                self.decide(outcome.asset_key, outcome.state, outcome.failure_class, is_ours=False)
        return frozenset(retried)

    def _counted(self, what: str, items: Iterable[T]) -> Iterator[T]:
        return counted(what, items, self._on_progress)

    def _is_in_catalog(self, outcome: Outcome) -> bool:
        created_at, asset_key = decided_order(outcome)
        query = "SELECT EXISTS (SELECT 1 FROM catalog WHERE asset_key = ? AND state = ? AND created_at = ?)"
        return self._one(query, asset_key, outcome.state, created_at) == 1

    def _has_ended(self, asset_key: str) -> bool:
        return self._one("SELECT EXISTS (SELECT 1 FROM ends WHERE asset_key = ?)", asset_key) == 1

    def _one(self, query: str, *values: str) -> int:
        (value,) = self._table.execute(query, values).fetchone()
        return int(value)
