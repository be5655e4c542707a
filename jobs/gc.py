"""Find what a library no longer needs, and take it away on request.

examples:
  python jobs/gc.py s3://bucket/library                            what would go, and how much that is
  python jobs/gc.py s3://bucket/library --delete                   take it away
  python jobs/gc.py s3://bucket/library --older-than-days 30 --delete

Goes: blobs that no outcome, field record or checkpoint names, checkpoints and leases of decided
fields, uploads that were begun and never finished; all of it only when it is old. Blobs go into the
trash first (trash/ of the library) and from there after the same time again, so what an outcome
names after all comes back by itself at the next call. Safe while runs are at work. Needs the rights
of infra/iam_policy_gc.json, which no node of a cluster should have.

exit codes:
   0  done
   1  the store refused or cannot be reached; call it again
   4  the command line cannot be used
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from dreamfoundry.cli.command_line import CommandLine, exit_code_of
from dreamfoundry.library.garbage import MIN_AGE_S, Garbage, find_garbage, remove_garbage
from dreamfoundry.library.library import Library
from dreamfoundry.object_store.open import open_store

DAY_S = 86_400.0
MIN_DAYS = MIN_AGE_S / DAY_S


def main() -> int:
    command_line = CommandLine(__doc__)
    command_line.add_argument("library", metavar="LIBRARY", help="a directory or s3://bucket/prefix")
    command_line.add_argument(
        "--older-than-days",
        type=days,
        default=7.0,
        metavar="DAYS",
        help=f"leave alone what is younger; at least {MIN_DAYS:g} (default: %(default)g)",
    )
    command_line.add_argument("--delete", action="store_true", help="take it away; without this nothing is changed")
    arguments = command_line.parse_args()
    collect = remove if arguments.delete else show
    return exit_code_of(lambda: collect(arguments.library, arguments.older_than_days * DAY_S))


def days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not MIN_DAYS <= number < 1e6:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a number of at least {MIN_DAYS:g}: runs count on finding what they stored that long ago"
        )
    return number


def show(url: str, min_age_s: float) -> int:
    things = find_garbage(Library(open_store(url)), min_age_s)
    for thing in things:
        print(f"would go  {described(thing)}")
    print(f"{total(things)} would go; --delete takes it away")
    return 0


def remove(url: str, min_age_s: float) -> int:
    gone = []
    for step in remove_garbage(Library(open_store(url)), min_age_s):
        print(f"{step.verb:8}  {described(step.thing)}", flush=True)
        if step.verb == "removed":
            gone.append(step.thing)
    print(f"{total(gone)} removed")
    return 0


def described(thing: Garbage) -> str:
    size = f", {thing.num_bytes:,} bytes" if thing.num_bytes else ""
    return f"{thing.kind} {thing.key or thing.name}{size}, {thing.age_s / DAY_S:.1f} days old"


def total(things: Iterable[Garbage]) -> str:
    sizes = [thing.num_bytes for thing in things]
    return f"{len(sizes)} objects of {sum(sizes) / 1e6:,.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
