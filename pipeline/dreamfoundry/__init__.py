"""Text to a published 3D asset, without 3D data, for thousands of prompts a night.

| # | stage                    | from               | to                      | lifetime    | runs on         |
|--:|--------------------------|--------------------|-------------------------|-------------|-----------------|
| 1 | manifest                 | Parquet row        | Prompt                  | row         | driver          |
| 2 | diffusion.prompts        | Prompt             | embeddings per view     | asset       | optimizer actor |
| 3 | optimize                 | embeddings, prior  | FieldSnapshot           | asset, step | optimizer actor |
| 4 | mesh                     | snapshot           | surface                 | asset       | export worker   |
| 5 | texture, lod             | surface, snapshot  | textured levels         | asset       | export worker   |
| 6 | gltf, thumbnail          | textured levels    | GLB, pictures           | asset       | export worker   |
| 7 | validate, quality        | GLB, snapshot      | findings, scores        | asset       | export worker   |
| 8 | store                    | bundle             | blobs, then one outcome | asset       | export worker   |
| 9 | catalog                  | outcomes           | Parquet                 | run         | driver          |

Lifetimes: run > actor (the prior) > asset (embeddings, field, optimizer, generators) > step
(cameras, rays, noise). Each is created in one place and handed down as an argument.
"""

__version__ = "0.1.0"
