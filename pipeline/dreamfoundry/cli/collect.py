"""Copy chosen assets into a folder as an engine wants them, with a script that imports them.

examples:
  dreamfoundry collect out/library out/props --engine blender
  dreamfoundry collect s3://bucket/library Game/Content/Props --engine unreal --tag props --profile game_prop
  dreamfoundry collect out/library out/two --prompt-id a_red_chair --prompt-id a_blue_car

Every asset gets a folder of its name. Without --engine it holds all of its files, else those that the engine wants.
The newest export of each prompt and profile counts; what an earlier collection left of an older one is named, and
--prune deletes it. Flags of one kind add up, flags of different kinds must all hold. Run the same line again after
another night: what is there is not copied again, and no file of anybody else is ever overwritten. The script says in
its first lines how it is started.

exit codes:
   0  every chosen asset is in the folder
   1  the library cannot be reached, or lacks a file
   4  the command line cannot be used: a filter that nothing passes, or files of somebody else in the way
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.cli.flags import Flag, LibraryUrl, OutputFolder, Repeated
from dreamfoundry.run.exit_codes import EXIT_CODES

if TYPE_CHECKING:
    from dreamfoundry.kits.choice import Chosen

EngineName = Literal["blender", "godot", "unity", "unreal"]

app = command_app("collect", __doc__)

MOST_NOTES = 20
"""Objects that cannot be read, of those that are named."""


@app.default
def collect(
    library: LibraryUrl,
    folder: Annotated[OutputFolder, Parameter(help="a folder of this machine; it is made where it is absent")],
    /,
    *,
    engine: Annotated[EngineName | None, Parameter(help="only its files, and its import script")] = None,
    prompt_id: Annotated[Repeated, Parameter(help="only this prompt; can be repeated")] = [],  # noqa: B006
    tag: Annotated[Repeated, Parameter(help="only what has this tag; can be repeated")] = [],  # noqa: B006
    profile: Annotated[Repeated, Parameter(help="only what was exported so; can be repeated")] = [],  # noqa: B006
    prune: Annotated[Flag, Parameter(help="delete what a newer export of the prompt replaces")] = False,
) -> int:
    """Copy, with a line for each asset, and say what there is in the end."""
    from dreamfoundry.host.faults import machine_faults
    from dreamfoundry.kits import folder as kit_folder
    from dreamfoundry.kits.choice import Filters, choose
    from dreamfoundry.kits.engines import ENGINES
    from dreamfoundry.library.library import Library
    from dreamfoundry.library.projections import entries_of
    from dreamfoundry.object_store.open import open_store
    from dreamfoundry.run.unreadable_keys import UnreadableKeys

    filters = Filters(frozenset(prompt_id), frozenset(tag), frozenset(profile))
    with machine_faults():
        unreadable = UnreadableKeys()
        contents = Library(open_store(library, is_read_only=True), unreadable)
        with entries_of(contents, contents.outcomes()) as entries:
            chosen, num_published = choose(entries, filters)

        done = []
        for asset in kit_folder.collect(contents, chosen, folder, engine or ""):
            word = "copied" if asset.num_copied else "there"
            num_files = asset.num_copied + asset.num_there
            size = f", {asset.num_bytes / 1e6:,.1f} MB" if asset.num_copied else ""
            print(f"{word:6}  {asset.name} ({asset.profile}): {num_files} files{size}", flush=True)
            done.append(asset)
        _tell_superseded(folder, chosen, engine or "", prune=prune)

    for note in unreadable.take_notes(MOST_NOTES):
        print(f"note    {note}")
    num_copied = sum(asset.num_copied > 0 for asset in done)
    print(
        f"{len(chosen)} of {num_published} assets chosen: {num_copied} copied "
        f"({sum(asset.num_copied for asset in done)} files, {sum(asset.num_bytes for asset in done) / 1e6:,.1f} MB), "
        f"{len(done) - num_copied} already there"
    )
    if kit := ENGINES[engine or ""].place:
        print(f"import them with {folder / kit}; its first lines say how")
    return EXIT_CODES["complete"]


def _tell_superseded(folder: Path, chosen: Sequence[Chosen], engine: str, *, prune: bool) -> None:
    """Name what earlier collections left of older exports, and take it away if `prune`."""
    from dreamfoundry.kits import folder as kit_folder

    record = kit_folder.read_record(folder, engine)
    older = kit_folder.superseded(record, chosen)
    changed = kit_folder.prune(folder, record, older.keys()) if older and prune else []
    for name, newer in older.items():
        print(
            f"{'pruned' if prune else 'older '}  {name}: {newer} is newer" + ("" if prune else "; --prune deletes it")
        )
    for path in changed:
        print(f"kept    {path}: changed since it was collected")
