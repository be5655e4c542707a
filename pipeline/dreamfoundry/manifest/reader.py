"""Stage 1: a Parquet manifest becomes prompts, streamed, every row checked before any work.

`scan` goes through the whole manifest first. Faults of the file raise ManifestError; faults of
rows are collected, all of them; a row group whose bytes are damaged costs only the rows that
cannot be read. Memory does not grow with the number of rows, except 32 bytes for each.

Rows count from 0 over all parts in the order of their names. Page checksums are verified where
the writer made them: without them, damage can change a text and nobody notices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from dreamfoundry.errors import ManifestError, RowError, Stopped
from dreamfoundry.manifest.bounds import MAX_BAD_ROWS
from dreamfoundry.manifest.parts import NotRead, open_parts
from dreamfoundry.manifest.repetitions import Repetitions, RowDigests, prompt_digests
from dreamfoundry.manifest.report import ManifestReport
from dreamfoundry.manifest.row import Check, prompt_from_row, row_content, row_text
from dreamfoundry.manifest.rows import Batch, read_batches
from dreamfoundry.records import LostRows, Prompt
from dreamfoundry.settings.recipe import Recipe

__all__ = ["LostRows", "ManifestReport", "NotRead", "read_prompts", "scan"]

_REMEMBERED_ROWS = 512


def scan(
    path: Path,
    check: Check | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    *,
    address: str = "",
    should_stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda num_rows: None,
) -> ManifestReport:
    """Check the manifest at `path`: a Parquet file, or a directory of them.

    `recipe` is the one that the overrides of rows will be applied to; messages call the manifest `address`, by
    default `path`. `on_progress` is told the number of rows so far. Raises ManifestError when the file as a whole
    cannot be used, Stopped soon after `should_stop` is true; nothing that is wrong with single rows raises.
    """
    address = address or str(path)
    manifest = open_parts(path, address, should_stop)
    checker = _RowChecker(check, recipe, names_part=len(manifest.parts) > 1, address=address)
    lost: list[LostRows] = []

    for batch in read_batches(manifest.parts, lost):
        if should_stop():
            raise Stopped("while the manifest was read")
        checker.check(batch)
        on_progress(batch.first_row + len(batch.rows))
    if lost and sum(item.num_rows for item in lost) == manifest.num_rows:
        raise ManifestError(f"{address}: none of its {manifest.num_rows} rows can be read ({lost[0].reason})")

    # Equal rows are one prompt; different ones under one id would be published over each other.
    found = checker.digests.repetitions(should_stop)
    return ManifestReport(
        digest=_digest([part.path for part in manifest.parts], should_stop),
        num_rows=manifest.num_rows,
        num_prompts=checker.digests.num_rows - len(found.repeated) - len(found.conflicts),
        row_errors=tuple(checker.errors),
        lost=tuple(lost),
        repeated=found.repeated,
        ignored_columns=manifest.ignored_columns,
        warnings=(*manifest.warnings, *_warnings(path, checker.digests, found)),
        not_read=manifest.not_read,
        conflicts=found.conflicts,
        part_starts=[(part.name, part.first_row) for part in manifest.parts],
    )


def read_prompts(
    path: Path,
    skip_rows: Collection[int] = (),
    recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
) -> Iterator[Prompt]:
    """The valid prompts of a manifest, in order, without `skip_rows` (see `ManifestReport`)."""
    for batch in read_batches(open_parts(path).parts, []):
        for row in range(batch.first_row, batch.first_row + len(batch.rows)):
            if row not in skip_rows:
                try:
                    prompt = prompt_from_row(batch.values(row), row, recipe)
                except RowError:
                    continue
                yield prompt


def prompt_ids(path: Path, rows: Iterable[int]) -> Iterator[str]:
    """The prompt ids of sound rows, which are read again; `rows` ascend."""
    wanted = iter(rows)
    row = next(wanted, None)
    for batch in read_batches(open_parts(path).parts, []):
        while row is not None and row < batch.first_row + len(batch.rows):
            yield bytes(batch.values(row)["prompt_id"]).decode()
            row = next(wanted, None)
        if row is None:
            return


def digest_of(path: Path) -> str:
    """The digest of the parts of a manifest as they are now."""
    return _digest([part.path for part in open_parts(path).parts], lambda: False)


class _RowChecker:
    """Checks rows one after another: `digests` of the sound ones, `errors` of the others."""

    def __init__(self, check: Check | None, recipe: Recipe, *, names_part: bool, address: str) -> None:
        self._check, self._recipe = check, recipe
        self._names_part, self._address = names_part, address
        self._seen: dict[tuple[Any, ...], int] = {}
        self.digests = RowDigests()
        self.errors: list[RowError] = []

    def check(self, batch: Batch) -> None:
        for row, values in enumerate(batch.rows, batch.first_row):
            # a manifest of one row a million times is read as fast as it can be compared
            earlier = self._seen.get(values)
            if earlier is not None:
                self.digests.add_repetition(row, earlier)
                continue
            digests = self._digests(batch, row)
            if digests is not None:
                self.digests.add(row, digests)
                self._seen[values] = row
        if len(self._seen) > _REMEMBERED_ROWS:
            self._seen.clear()

    def _digests(self, batch: Batch, row: int) -> bytes | None:
        """The digests of a row, None if it is refused."""
        values, place = batch.values(row), batch.place(row, names_part=self._names_part)
        try:
            prompt = prompt_from_row(values, row, self._recipe, place, self._check)
        except RowError as error:
            error.part, error.prompt, error.content = batch.part.name, row_text(values), row_content(values)
            self.errors.append(error)
            if len(self.errors) > MAX_BAD_ROWS:
                raise ManifestError(
                    f"{self._address}: more than {MAX_BAD_ROWS} rows cannot be used; the first is {self.errors[0]}"
                ) from None
            return None

        self.digests.note_name(prompt.prompt_id)
        return prompt_digests(prompt)


def _warnings(path: Path, digests: RowDigests, found: Repetitions) -> Iterator[str]:
    if found.num_twins:
        rows = sorted(row for pair in found.twins for row in pair)
        shown = dict(zip(rows, map(repr, prompt_ids(path, rows)), strict=True))
        pairs = ", ".join(f"{shown[first]} and {shown[second]}" for first, second in found.twins)
        yield f"{found.num_twins} prompt ids differ from another in case only; some disks hold one of the two: {pairs}"
    if digests.num_windows_names:
        names = [repr(name) for name in digests.windows_names]
        yield f"{digests.num_windows_names} prompt ids cannot be names of files on Windows: {', '.join(names)}"


def _digest(paths: list[Path], should_stop: Callable[[], bool]) -> str:
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
                if should_stop():
                    raise Stopped("while the manifest was read")
    return total.hexdigest()
