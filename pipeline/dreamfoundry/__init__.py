"""Text to a published 3D asset, without 3D data, for thousands of prompts a night.

| # | stage                            | from               | to                      | lifetime    | runs on        |
|--:|----------------------------------|--------------------|-------------------------|-------------|----------------|
| 1 | manifest                         | Parquet row        | Prompt                  | row         | driver         |
| 2 | diffusion.prompts                | Prompt             | embeddings per view     | asset       | distill worker |
| 3 | distill.loop                     | embeddings, prior  | FieldSnapshot           | asset, step | distill worker |
| 4 | asset.surface                    | snapshot           | surface, levels, hulls  | asset       | export worker  |
| 5 | asset.maps                       | levels, snapshot   | textured levels         | asset       | export worker  |
| 6 | asset.files, asset.pictures      | textured levels    | GLB and more, pictures  | asset       | export worker  |
| 7 | asset.gates                      | files and pictures | findings, scores        | asset       | export worker  |
| 8 | library.library                  | bundle             | blobs, then one outcome | asset       | export worker  |
| 9 | library.catalog, contact_sheet   | outcomes           | Parquet, a page         | run         | driver         |

`run` drives the stages for a whole manifest, `cli` is the command line, `evaluation` measures the
results. Below the stages lie `settings` (what a run is told), `object_store` (where bytes are kept)
and `host` (this machine).

Lifetimes: run > worker (the prior) > asset (embeddings, field, optimizer, generators) > step
(cameras, rays, noise). Each is created in one place and handed down as an argument.
"""

import logging

__version__ = "0.1.0"

# log events that nobody records are for nobody; without a handler Python prints warnings to standard error
logging.getLogger(__name__).addHandler(logging.NullHandler())
