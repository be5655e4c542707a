"""Make a manifest from lines of text, CSV or JSONL.

examples:
  dreamfoundry make prompts.txt prompts.parquet
  dreamfoundry make prompts.csv prompts.parquet
  dreamfoundry make prompts.jsonl prompts.parquet

Text has one prompt per line; empty lines and lines that begin with # are skipped. CSV has a header line,
JSONL one object per line; both use the columns below. A row without a prompt_id is named by its place and
its words: 0001-a_red_mushroom. In CSV, tags are separated by ";". In JSONL, recipe_overrides and
view_prompts may be objects.

columns (prompt is required):
  prompt_id         string        a unique name, 1 to 128 of A-Z a-z 0-9 . _ - and no dot in front
  prompt            string        what to make, 1 to 1000 characters
  negative_prompt   string        what to avoid; default none
  seed              int64         0 or more; another seed gives another asset; default 0
  priority          int32         higher starts first; default 0
  tags              list<string>  words for the catalog
  target_height_m   double        height of the asset in metres; default 1
  budget_profile    string        export profile; default that of the run
  recipe_overrides  string        JSON object of recipe keys: {"optimize.num_steps": 200}
  view_prompts      string        JSON object of wordings for single views: front, side, back, overhead

exit codes:
   0  written
   4  refused: nothing is written
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dreamfoundry.cli.command_line import command_app
from dreamfoundry.run.exit_codes import EXIT_CODES

app = command_app("make", __doc__)


@app.default
def make(
    source: Annotated[Path, Parameter(help="prompts as .txt, .csv, .jsonl (any other name is read as text)")],
    manifest: Annotated[Path, Parameter(help="the Parquet file to write; an existing one is replaced")],
    /,
) -> int:
    from dreamfoundry.manifest.writer import make_manifest

    num_rows = make_manifest(source, manifest)
    print(f"{manifest}: {num_rows} prompts, {manifest.stat().st_size} bytes")
    return EXIT_CODES["complete"]
