"""Find what a library no longer needs, and remove it on request.

examples:
  dreamfoundry gc s3://bucket/library                            list what would go, and its size
  dreamfoundry gc s3://bucket/library --delete                   remove it
  dreamfoundry gc s3://bucket/library --older-than-days 30 --delete

Goes: blobs that no outcome and no field record names, checkpoints and leases of decided fields, uploads
that were begun and never finished; all of it only when it is old. Blobs go into the trash first (trash/ of the
library) and from there after the same time again, so a blob that an outcome names after all comes back by itself
at the next call. Safe while runs are at work. Needs the rights of infra/iam_policy_gc.json, which no node of a
cluster should have.

exit codes:
   0  done
   1  the store refused or cannot be reached; call it again
   4  the command line cannot be used
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Flag, LibraryUrl
from dreamfoundry.errors import ConfigError
from dreamfoundry.run.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from dreamfoundry.library.garbage import Garbage

DAY_S = 86_400.0
MAX_DAYS = 1e6

app = command_app("gc", __doc__)


@app.default
def gc(
    library: LibraryUrl,
    /,
    *,
    older_than_days: Annotated[float, Parameter(help="leave alone what is younger; at least 1")] = 7.0,
    delete: Annotated[Flag, Parameter(help="remove it; without this flag nothing is changed")] = False,
) -> int:
    """List the garbage of `library`, or remove it."""
    from dreamfoundry.library.garbage import MIN_AGE_S

    if not MIN_AGE_S / DAY_S <= older_than_days < MAX_DAYS:
        raise ConfigError(
            f"--older-than-days {older_than_days:g}: must be a number of at least {MIN_AGE_S / DAY_S:g}: "
            "runs count on finding what they stored that long ago"
        )

    collect = remove if delete else show
    collect(library, older_than_days * DAY_S)
    return EXIT_CODES["complete"]


def show(url: str, min_age_s: float) -> None:
    """List what would go."""
    from dreamfoundry.library.garbage import find_garbage
    from dreamfoundry.library.library import Library
    from dreamfoundry.object_store.open import open_store

    things = find_garbage(Library(open_store(url, is_read_only=True)), min_age_s)
    for thing in things:
        print(f"would go  {described(thing)}")
    print(f"{total(things)} would go; --delete takes it away")


def remove(url: str, min_age_s: float) -> None:
    """Remove it, a line for each step."""
    from dreamfoundry.library.garbage import remove_garbage
    from dreamfoundry.library.library import Library
    from dreamfoundry.object_store.open import open_store

    gone = []
    for step in remove_garbage(Library(open_store(url)), min_age_s):
        print(f"{step.verb:8}  {described(step.thing)}", flush=True)
        if step.verb == "removed":
            gone.append(step.thing)
    print(f"{total(gone)} removed")


def described(thing: Garbage) -> str:
    """Kind, name, size and age."""
    size = f", {thing.num_bytes:,} bytes" if thing.num_bytes else ""
    return f"{thing.kind} {thing.key or thing.name}{size}, {thing.age_s / DAY_S:.1f} days old"


def total(things: Iterable[Garbage]) -> str:
    """Number and size."""
    sizes = [thing.num_bytes for thing in things]
    return f"{len(sizes)} objects of {sum(sizes) / 1e6:,.1f} MB"
