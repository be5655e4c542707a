"""Make a manifest from lines of text, CSV, TSV, JSON Lines or JSON.

examples:
  dreamfoundry make prompts.txt prompts.parquet
  dreamfoundry make chairs.csv toys.jsonl tonight.parquet
  dreamfoundry make prompts.json s3://studio-assets/manifests/tonight.parquet
  jq -c .rows[] export.json | dreamfoundry make --from jsonl - tonight.parquet

The last name is the manifest, all others are sources: paths, s3:// or - for standard input. A source is what its
suffix says (.txt, .csv, .tsv, .jsonl, .ndjson, .json, in any case; none is text), or all of them what --from says.

Text has one prompt per line; empty lines and lines that begin with # are skipped. CSV has a header line, with commas,
semicolons or tabs; tags are separated by ";", "|" or ",". JSON Lines has one object per line, JSON an array of objects;
recipe_overrides and view_prompts may be objects. All but text use the columns below, in any case; others are not read.

A row without a prompt_id is named by its words: a_red_mushroom, and a_red_mushroom-2 for the next that differs in
anything else. Words of other scripts and long prompts get a digest: asset-1f3870be. So ids stay when lines are added.
Equal rows are one prompt. More, with an example of each source: docs/MANIFEST.md.

columns (prompt is required):
  prompt_id         string        a unique name, 1 to 128 of A-Z a-z 0-9 . _ - and no dot in front
  prompt            string        what to make, 1 to 1000 characters
  negative_prompt   string        what to avoid; default none
  seed              int64         0 or more; another seed gives another asset; default 0
  priority          int32         higher starts first; default 0
  tags              list<string>  words for the catalog, at most 64
  target_height_m   double        height of the asset in metres; default that of such things, else 1
  budget_profile    string        export profile; default that of the run
  recipe_overrides  string        JSON object of recipe keys: {"optimize.num_steps": 200}, at most 64 KiB
  view_prompts      string        JSON object of wordings for single views: front, side, back, overhead; at most 64 KiB

exit codes:
   0  written
   1  S3 cannot be reached
   4  refused, with every fault: nothing is written
"""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.errors import ConfigError
from dreamfoundry.manifest.sources.kinds import Kind
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("make", __doc__)
app.usage = "Usage: dreamfoundry make [--from KIND] SOURCE... MANIFEST"


@app.default
def make(
    *paths: Annotated[
        str,
        Parameter(
            name="SOURCE... MANIFEST",
            help="prompts, and last the Parquet file to write; an existing one is replaced",
            allow_leading_hyphen=True,
        ),
    ],
    kind: Annotated[Kind | None, Parameter(name="--from", help="what all sources are, whatever their names")] = None,
) -> int:
    unknown = next((path for path in paths if path.startswith("-") and path != "-"), None)
    if unknown is not None:
        raise ConfigError(f"{unknown}: unknown flag (a file of this name: ./{unknown})\ntry: dreamfoundry make --help")
    if len(paths) < 2:
        raise ConfigError("name a source and, last, the manifest: dreamfoundry make prompts.txt prompts.parquet")
    from dreamfoundry.manifest.writer import make_manifest

    *sources, manifest = paths
    made = make_manifest(sources, manifest, kind)
    for remark in made.warnings:
        print(f"warning: {remark}", file=sys.stderr)
    name = manifest.encode("utf-8", "backslashreplace").decode()  # a path of the system need not be Unicode
    lines = f"{made.num_comments} comment line{'s' * (made.num_comments != 1)}"
    left_out = f"; {lines} left out" if made.num_comments else ""
    print(f"{name}: {made.num_prompts} prompts, {made.num_bytes} bytes{left_out}")
    return EXIT_CODES["complete"]
